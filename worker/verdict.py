"""How a run ended, in AWS's words: the payload for the caller, whose failure it was, a line for the log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import assert_never

import msgspec

from broker.invocation import Condition, Failure
from worker.environments.error_documents import (
    EXIT_ERROR,
    INVALID_ENTRYPOINT,
    PLATFORM_ERROR,
    TIMED_OUT,
    exit_message,
)
from worker.environments.interface import (
    Exited,
    ExtensionFailed,
    HandlerFailed,
    InitFailed,
    RunOutcome,
    Succeeded,
    TimedOut,
)


class Verdict(msgspec.Struct, frozen=True):
    """`payload` is the response, AWS's error document, or for `Platform` a plain-text reason."""

    payload: bytes
    failure: Failure = ""
    error_type: str = ""
    log_note: str = ""
    log_tail: bytes = b""
    unrun: Condition | None = None
    """Why it was not run at all."""


def of_run(request_id: str, outcome: RunOutcome) -> Verdict:
    """The verdict on a run; sources of the texts: recordings of AWS's answers."""
    match outcome:
        case Succeeded(payload):
            return Verdict(payload)
        case HandlerFailed(error_type, document):
            return Verdict(document, "Unhandled", error_type)
        case TimedOut(timeout_seconds):
            text = f"Task timed out after {timeout_seconds:.2f} seconds"
            note = f"{_log_time()} {request_id} {text}\n\n"
            return _failed(TIMED_OUT, f"RequestId: {request_id} Error: {text}", note)
        case Exited(cause):
            message = f"RequestId: {request_id} Error: {exit_message(cause)}"
            return _failed(EXIT_ERROR, message, f"{message}\n{EXIT_ERROR}\n")
        case ExtensionFailed(error_type, cause):
            message = f"RequestId: {request_id} Error: {cause}"
            return _failed(error_type, message, f"{message}\n{error_type}\n")
    assert_never(outcome)


def of_failed_init(request_id: str, failure: InitFailed) -> Verdict:
    """The environment never came up: the caller gets the runtime's own document, or AWS's for its end."""
    if failure.error_type == PLATFORM_ERROR:
        return of_platform(_message(failure.document))
    note = (
        f"INIT_REPORT Init Duration: {failure.duration_ms:.2f} ms\tPhase: invoke\tStatus: error\t"
        f"Error Type: {failure.error_type}\n"
    )
    platforms_own = failure.error_type in (EXIT_ERROR, TIMED_OUT, INVALID_ENTRYPOINT)
    if platforms_own or failure.error_type.startswith("Extension."):
        message = f"RequestId: {request_id} Error: {_message(failure.document)}"
        return _failed(failure.error_type, message, f"{message}\n{failure.error_type}\n{note}")
    return Verdict(failure.document, "Unhandled", failure.error_type, note)


def of_unrun(condition: Condition) -> Verdict:
    """An event that must not be run (any more)."""
    return Verdict(b"", "Unhandled", condition, unrun=condition)


def of_platform(reason: str) -> Verdict:
    """We could not run it."""
    return Verdict(reason.encode(), "Platform", "ServiceException")


def _failed(error_type: str, message: str, note: str) -> Verdict:
    document = msgspec.json.encode({"errorType": error_type, "errorMessage": message})
    return Verdict(document, "Unhandled", error_type, note)


def _message(document: bytes) -> str:
    message: str = msgspec.json.decode(document)["errorMessage"]
    return message


def _log_time() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
