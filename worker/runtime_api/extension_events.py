"""The events that extensions get: INVOKE and SHUTDOWN, as answers to their `next`."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from worker.runtime_api.messages import json_answer


def invoke_answer(request_id: str, deadline_ms: int, invoked_arn: str, trace_header: str) -> bytes:
    """A run begins; `deadline_ms` is epoch milliseconds."""
    return _answer(
        {
            "eventType": "INVOKE",
            "deadlineMs": deadline_ms,
            "requestId": request_id,
            "invokedFunctionArn": invoked_arn,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": trace_header},
        }
    )


def shutdown_answer(reason: str, deadline_ms: int) -> bytes:
    """The environment ends; `reason` is `spindown`, `timeout` or `failure`."""
    return _answer({"eventType": "SHUTDOWN", "shutdownReason": reason, "deadlineMs": deadline_ms})


def _answer(event: dict[str, object]) -> bytes:
    headers = f"Lambda-Extension-Event-Identifier: {uuid.uuid4()}\r\n"
    return json_answer(HTTPStatus.OK, event, headers)
