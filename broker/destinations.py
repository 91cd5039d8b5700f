"""What an ended asynchronous invocation tells others: the record that a destination receives."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from broker.invocation import LATEST, Invocation, new_request_id, now_ms
from broker.registry.model import EventInvokeConfig, FunctionRecord
from broker.retry import Condition

_PAYLOAD_LIMIT_BYTES = 1_048_576
MOST_HOPS = 16


class _RequestContext(msgspec.Struct, rename="camel"):
    request_id: str
    function_arn: str
    condition: Condition
    approximate_invoke_count: int


class _ResponseContext(msgspec.Struct, rename="camel", omit_defaults=True):
    status_code: int
    executed_version: str
    function_error: str = ""


class _Record(msgspec.Struct, rename="camel", omit_defaults=True):
    version: str
    timestamp: str
    request_context: _RequestContext
    request_payload: msgspec.Raw
    response_context: _ResponseContext | None = None
    response_payload: msgspec.Raw | None = None


def record(
    invocation: Invocation, condition: Condition, runs: int, response: bytes | None, function_error: str = ""
) -> bytes:
    """AWS's destination record as JSON.

    `runs` is how often the function ran; with 0 there is no response part. Source: AWS Lambda developer
    guide, "Capturing records of Lambda asynchronous invocations".
    """
    arn = invocation.invoked_arn
    if not invocation.qualifier:
        arn = f"{arn}:{LATEST}"
    ran = _ResponseContext(200, invocation.version, function_error) if runs else None
    body = _Record(
        "1.0",
        _timestamp(),
        _RequestContext(invocation.request_id, arn, condition, runs),
        _json(invocation.payload),
        ran,
        _json(response) if runs and response is not None else None,
    )
    return msgspec.json.encode(body)


def destination(config: EventInvokeConfig | None, condition: Condition) -> str:
    """The ARN that hears of this end, empty where none does."""
    if config is None:
        return ""
    return config.on_success if condition == "Success" else config.on_failure


def follow_up(cause: Invocation, target: FunctionRecord, arn: str, body: bytes) -> Invocation:
    """The asynchronous invocation that carries a record to a destination function."""
    _, _, qualifier = arn.partition(":function:")[2].partition(":")
    alias = target.aliases.get(qualifier)
    version = alias.function_version if alias else qualifier or LATEST
    now = now_ms()
    return Invocation(
        request_id=new_request_id(),
        kind="async",
        function_name=target.name,
        version=version,
        generation=target.generation,
        invoked_arn=arn,
        payload=body,
        accepted_ms=now,
        deadline_ms=now + 6 * 3600 * 1000,
        trace_header=cause.trace_header,
        traceparent=cause.traceparent,
        qualifier=qualifier,
        hops=cause.hops + 1,
    )


def function_of(arn: str) -> str:
    """The function name in a function ARN."""
    return arn.partition(":function:")[2].partition(":")[0]


def _json(payload: bytes) -> msgspec.Raw:
    """The payload as it is where it is JSON, else as a JSON string; too large ones are cut as a string."""
    if len(payload) > _PAYLOAD_LIMIT_BYTES:
        return msgspec.Raw(msgspec.json.encode(payload[:4096].decode("utf-8", "replace") + "..."))
    try:
        msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return msgspec.Raw(msgspec.json.encode(payload.decode("utf-8", "replace")))
    return msgspec.Raw(payload)


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
