"""A function behind a function URL: answers with its event, or as the body of the request says."""

from __future__ import annotations

import json
from typing import Any


def handler(event: dict[str, Any], context: object) -> Any:
    if event["rawPath"] == "/do":
        wish = json.loads(event["body"])
        if "raise" in wish:
            raise ValueError(wish["raise"])
        return wish["return"]
    return event
