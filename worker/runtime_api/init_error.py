"""POST /2018-06-01/runtime/init/error: the runtime cannot serve."""

from __future__ import annotations

from worker.runtime_api.error import read_error
from worker.runtime_api.messages import ACCEPTED, TOO_LARGE, Request, invalid_transition
from worker.runtime_api.session import Session


def fail_init(session: Session, request: Request) -> bytes:
    """Take the error; the HTTP response to the runtime."""
    if request.too_large:
        return TOO_LARGE
    if not session.fail_init(*read_error(request)):
        return invalid_transition(session.state.value, "init/error")
    return ACCEPTED
