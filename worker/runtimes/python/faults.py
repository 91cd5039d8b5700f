"""Errors of a function as AWS's Python runtime words them: documents and log entries."""

from __future__ import annotations

import json
import traceback
from types import TracebackType
from typing import Any

NO_BREAK_SPACE = "\u00a0"
RESPONSE_TOO_LARGE = "Function.ResponseSizeTooLarge"
RESPONSE_TOO_LARGE_MESSAGE = "Response payload size exceeded maximum allowed payload size (6291556 bytes)."


class Fault(Exception):
    """Something that the runtime itself finds wrong with the function."""

    def __init__(self, error_type: str, message: str, trace: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.message = message
        self.trace = list(trace)


Document = dict[str, Any]


def describe(error: BaseException, request_id: str, own_files: str) -> Document:
    """The error document; frames of the runtime (files below `own_files`) come before the function's
    and are left out."""
    if isinstance(error, Fault):
        return _document(error.message, error.error_type, request_id, error.trace)
    tail = _function_part(error.__traceback__, own_files)
    return _document(str(error), type(error).__name__, request_id, traceback.format_tb(tail))


def _document(message: str, error_type: str, request_id: str, trace: list[str]) -> Document:
    return {"errorMessage": message, "errorType": error_type, "requestId": request_id, "stackTrace": trace}


def _function_part(trace: TracebackType | None, own_files: str) -> TracebackType | None:
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(own_files):
        trace = trace.tb_next
    return trace


def encode(document: Document) -> bytes:
    """The document as it goes to the caller; lone surrogates are escaped."""
    return json.dumps(document).encode("ascii")


def log_entry(document: Document) -> str:
    """The function log's entry for an error."""
    lines = ["[ERROR] {errorType}: {errorMessage}".format(**document)]
    lines.append("Traceback (most recent call last):")
    for part in document["stackTrace"]:
        lines.extend(_indented(line) for line in part.splitlines())
    return "\n".join(lines) + "\n"


def _indented(line: str) -> str:
    text = line.lstrip(" ")
    return NO_BREAK_SPACE * (len(line) - len(text)) + text
