"""JSON of events and responses, as AWS's Python runtime reads and writes it."""

from __future__ import annotations

import decimal
import json
import json.encoder
from collections.abc import Callable
from typing import Any

from .faults import Fault

PLAIN_ASCII_VERSIONS = ("3.9", "3.10", "3.11")
"""Runtimes whose responses escape what is not ASCII; the later ones write UTF-8."""


class _HasDecimal(Exception):
    """The fast encoder met a Decimal."""


class _Number(str):
    """Digits that go out without quotes."""


class Encoding:
    """Decodes events, encodes responses."""

    def __init__(self, version: str) -> None:
        escape = version in PLAIN_ASCII_VERSIONS
        self._quote = json.encoder.encode_basestring_ascii if escape else json.encoder.encode_basestring
        # JSONEncoder makes one for every text as well, after half a microsecond of its own.
        self._encoder = getattr(json.encoder, "c_make_encoder")  # noqa: B009 (its type stub lacks it)

    def decode(self, payload: bytes) -> Any:
        """The event. Raises Fault (Runtime.UnmarshalError)."""
        try:
            return json.loads(payload.decode())
        except Exception as error:
            raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from error

    def encode(self, response: Any) -> bytes:
        """The response; bytes go out as they are. Raises Fault (Runtime.MarshalError)."""
        if isinstance(response, bytes):
            return response
        try:
            return self._encode(response).encode("utf-8")
        except Exception as error:
            raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from error

    def _encode(self, response: Any) -> str:
        try:
            return self._text(response, _refuse, self._quote)
        except _HasDecimal:
            return self._text(response, _decimal_to_number, self._quote_but_numbers)

    def _text(self, response: Any, default: Callable[[Any], Any], quote: Callable[[str], str]) -> str:
        encode = self._encoder({}, default, quote, None, ": ", ", ", False, False, True)
        return "".join(encode(response, 0))

    def _quote_but_numbers(self, text: str) -> str:
        return str(text) if type(text) is _Number else self._quote(text)


def _refuse(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        raise _HasDecimal
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _decimal_to_number(value: Any) -> Any:
    if not isinstance(value, decimal.Decimal):
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
    return float("nan") if value.is_nan() else _Number(value)


def parse_client_context(text: str) -> Any | None:
    """The client context as a dict, None where there is none. Raises Fault."""
    if not text:
        return None
    try:
        return json.loads(text)
    except Exception as error:
        message = f"Unable to parse Client Context JSON: {error}"
        raise Fault("Runtime.LambdaContextUnmarshalError", message) from error
