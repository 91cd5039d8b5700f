"""How a run ended, in AWS's words: the payload for the caller, whose failure it was, a line for the log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import assert_never

import msgspec

from broker.invocation import Failure
from worker.environments.interface import Exited, HandlerFailed, InitFailed, RunOutcome, Succeeded, TimedOut


@dataclass(frozen=True, slots=True)
class Verdict:
    """`payload` is the response, AWS's error document, or for `Platform` a plain-text reason."""

    payload: bytes
    failure: Failure = ""
    error_type: str = ""
    log_note: str = ""
    log_tail: bytes = b""


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
            return _failed("Sandbox.Timedout", f"RequestId: {request_id} Error: {text}", note)
        case Exited(cause):
            text = (
                f"Runtime exited with error: {cause}"
                if cause
                else "Runtime exited without providing a reason"
            )
            message = f"RequestId: {request_id} Error: {text}"
            return _failed("Runtime.ExitError", message, f"{message}\nRuntime.ExitError\n")
    assert_never(outcome)


def of_failed_init(failure: InitFailed) -> Verdict:
    """The environment never came up: the caller gets the runtime's own document."""
    note = (
        f"INIT_REPORT Init Duration: {failure.duration_ms:.2f} ms\tPhase: invoke\tStatus: error\t"
        f"Error Type: {failure.error_type}\n"
    )
    return Verdict(failure.document, "Unhandled", failure.error_type, note)


def of_platform(reason: str) -> Verdict:
    """We could not run it."""
    return Verdict(reason.encode(), "Platform", "ServiceException")


def _failed(error_type: str, message: str, note: str) -> Verdict:
    document = msgspec.json.encode({"errorType": error_type, "errorMessage": message})
    return Verdict(document, "Unhandled", error_type, note)


def _log_time() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
