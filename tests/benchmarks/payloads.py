"""The 1 KB events that everybody echoes."""

from __future__ import annotations

import json

PAYLOAD_BYTES = 1024


def event(number: int) -> dict[str, object]:
    """An event that is one kilobyte of JSON and unlike every event with another number."""
    empty = len(json.dumps({"number": number, "pad": ""}))
    return {"number": number, "pad": "x" * (PAYLOAD_BYTES - empty)}


def encode(value: object) -> bytes:
    """JSON as Python's encoder writes it, so that an echo is the same bytes in the usual case."""
    return json.dumps(value).encode()
