"""GET /2018-06-01/runtime/invocation/next: the runtime asks for work and waits until there is some."""

from __future__ import annotations

import json
import re

from worker.environments.interface import Work

_LINE_BREAKS = re.compile(r"[\r\n\0]+")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def next_answer(work: Work) -> bytes:
    """The whole HTTP response that hands `work` to the runtime."""
    optional = ""
    if work.trace_header:
        optional += f"Lambda-Runtime-Trace-Id: {_header_text(work.trace_header)}\r\n"
    if work.client_context:
        optional += f"Lambda-Runtime-Client-Context: {_header_text(work.client_context)}\r\n"
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        f"Lambda-Runtime-Aws-Request-Id: {work.request_id}\r\n"
        f"Lambda-Runtime-Deadline-Ms: {work.deadline_ms}\r\n"
        f"Lambda-Runtime-Invoked-Function-Arn: {work.invoked_arn}\r\n"
        f"{optional}Content-Length: {len(work.payload)}\r\n\r\n"
    )
    return head.encode("ascii", "replace") + work.payload


def _header_text(text: str) -> str:
    """Callers choose these texts: no line may begin in them, and JSON stays the same in ASCII."""
    if text.isascii() and text.isprintable():
        return text
    return _NOT_ASCII.sub(lambda match: json.dumps(match[0])[1:-1], _LINE_BREAKS.sub(" ", text))
