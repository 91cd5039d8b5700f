"""What an ended asynchronous invocation tells others: the record that a destination receives."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from broker.destination_requests import Notice
from broker.foreign_json import UNREADABLE
from broker.invocation import LATEST, Condition, Invocation, Sequel, Tell, new_request_id, now_ms
from broker.lineage import counted
from broker.registry.model import EventInvokeConfig, FunctionRecord

_PAYLOAD_LIMIT_BYTES = 1_048_576
_ERROR_MESSAGE_BYTES = 1024


class _ErrorDocument(msgspec.Struct):
    error_message: str = msgspec.field(name="errorMessage")


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
    request_payload: msgspec.Raw | None = None
    response_context: _ResponseContext | None = None
    response_payload: msgspec.Raw | None = None


def record(
    invocation: Invocation,
    condition: Condition,
    runs: int,
    response: bytes | None,
    function_error: str = "",
    *,
    ended_ms: int | None = None,
    payloads: bool = True,
) -> bytes:
    """AWS's destination record as JSON.

    `runs` is how often the function ran; with 0 there is no response part. Without `payloads` both are left
    out, as AWS does where the record is too large for its destination. Source: AWS Lambda developer guide,
    "Capturing records of Lambda asynchronous invocations".
    """
    arn = invocation.invoked_arn
    if not invocation.qualifier:
        arn = f"{arn}:{LATEST}"
    ran = _ResponseContext(200, invocation.version, function_error) if runs else None
    body = _Record(
        "1.0",
        _timestamp(now_ms() if ended_ms is None else ended_ms),
        _RequestContext(invocation.request_id, arn, condition, runs),
        _json(invocation.payload) if payloads else None,
        ran,
        _json(response) if payloads and runs and response is not None else None,
    )
    return msgspec.json.encode(body)


def tells(
    function: FunctionRecord, config: EventInvokeConfig | None, condition: Condition
) -> tuple[Tell, ...]:
    """Who hears of this end: the destination, and of a failure the function's dead letter queue as well.

    All versions have the dead letter queue of `$LATEST`.
    """
    failed = condition != "Success"
    chosen = "" if config is None else config.on_failure if failed else config.on_success
    found = [Tell(chosen, "record")] if chosen else []
    if failed and function.latest.dead_letter_arn:
        found.append(Tell(function.latest.dead_letter_arn, "event"))
    return tuple(found)


def notice(invocation: Invocation, sequel: Sequel, tell: Tell) -> Notice:
    """What a queue, topic, bucket or event bus is sent; the same each time it is made."""
    function_arn = invocation.invoked_arn if invocation.qualifier else f"{invocation.invoked_arn}:{LATEST}"
    verdict = "Success" if sequel.condition == "Success" else "Failure"
    body, short = _record_of(invocation, sequel, payloads=True), b""
    if tell.what == "event":
        body = invocation.payload
    else:
        short = _record_of(invocation, sequel, payloads=False)
    return Notice(
        body=body,
        short_body=short,
        time_ms=sequel.outcome.finished_ms,
        object_prefix=f"aws/lambda/async/{invocation.function_name}",
        detail_type=f"Lambda Function Invocation Result - {verdict}",
        resources=(function_arn,),
        attributes=_error_attributes(invocation, sequel) if tell.what == "event" else {},
        trace_header=counted(invocation.trace_header, invocation.function_name),
    )


def record_of(invocation: Invocation, sequel: Sequel) -> bytes:
    """The record of an end that is still to be told."""
    return _record_of(invocation, sequel, payloads=True)


def _record_of(invocation: Invocation, sequel: Sequel, *, payloads: bool) -> bytes:
    ended_ms = sequel.outcome.finished_ms
    return record(
        invocation,
        sequel.condition,
        sequel.outcome.attempts,
        sequel.response,
        sequel.function_error,
        ended_ms=ended_ms,
        payloads=payloads,
    )


_UNRUN: dict[Condition, tuple[int, str]] = {
    "ZeroReservedConcurrency": (429, "Rate Exceeded."),
    "RecursiveInvocation": (400, "The function was stopped: it is invoked in a recursive loop."),
    "EventAgeExceeded": (500, "The event is older than the function's maximum event age."),
}
"""Status and message where the function did not run."""


def _error_attributes(invocation: Invocation, sequel: Sequel) -> dict[str, str | int]:
    """Message attributes of a dead letter; the error is cut to 1 KB, as on AWS."""
    code, message = _UNRUN.get(sequel.condition, (500, sequel.outcome.error))
    if sequel.response is not None and sequel.outcome.attempts:
        code, message = 200, _error_message(sequel.response)
    cut = message.encode()[:_ERROR_MESSAGE_BYTES].decode("utf-8", "ignore")
    return {"RequestID": invocation.request_id, "ErrorCode": code, "ErrorMessage": cut}


def _error_message(document: bytes) -> str:
    """What the error document of a function says; the document itself where it is another shape."""
    try:
        return msgspec.json.decode(document, type=_ErrorDocument).error_message
    except UNREADABLE:
        return document.decode("utf-8", "replace")


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
        trace_header=counted(cause.trace_header, cause.function_name),
        traceparent=cause.traceparent,
        qualifier=qualifier,
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
    except UNREADABLE:
        return msgspec.Raw(msgspec.json.encode(payload.decode("utf-8", "replace")))
    return msgspec.Raw(payload)


def _timestamp(time_ms: int) -> str:
    at = datetime.fromtimestamp(time_ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
