"""Which call a path means. The files beside this one are the calls."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from worker.environments.interface import EnvironmentSpec, ResponseSink
from worker.runtime_api import extensions, telemetry
from worker.runtime_api.error import fail
from worker.runtime_api.extension_session import ExtensionSession
from worker.runtime_api.init_error import fail_init
from worker.runtime_api.messages import INVALID_REQUEST_ID, NOT_FOUND, Request
from worker.runtime_api.response import begin, respond
from worker.runtime_api.session import Session

NEXT_PATH = b"/2018-06-01/runtime/invocation/next"
INIT_ERROR_PATH = b"/2018-06-01/runtime/init/error"
INVOCATION_PREFIX = b"/2018-06-01/runtime/invocation/"

SUBSCRIPTION_PATHS = (telemetry.TELEMETRY_PATH, telemetry.LOGS_PATH)

INVOCATION_CALLS: dict[bytes, Callable[[Session, Request], bytes]] = {b"response": respond, b"error": fail}


def sink_of(session: Session, request: Request) -> ResponseSink | None:
    """Where the body of a call goes while it comes; None: the call is answered when it is complete."""
    return begin(session, request) if is_response(session, request) else None


def is_response(session: Session, request: Request) -> bool:
    """Whether a call brings the response to the run that the runtime has, or had last."""
    return request.path == f"{INVOCATION_PREFIX.decode()}{session.request_id}/response".encode()


@dataclass(frozen=True, slots=True)
class Api:
    """Whom one environment's calls concern: its runtime's session, its extensions', its telemetry."""

    runtime: Session
    extensions: ExtensionSession
    spec: EnvironmentSpec
    subscribe: telemetry.Subscribe
    admits: Callable[[socket.socket], bool] = lambda connection: True
    """Whether a connection comes from the environment itself."""


def answer(api: Api, request: Request) -> bytes:
    """The HTTP response to any call that is answered at once."""
    if request.path.startswith(extensions.PREFIX):
        return extensions.answer(api.extensions, api.spec, request) or NOT_FOUND
    if request.method == b"POST":
        if request.path.startswith(INVOCATION_PREFIX):
            return _answer_invocation(api.runtime, request)
        if request.path == INIT_ERROR_PATH:
            return fail_init(api.runtime, request)
    if request.method == b"PUT" and request.path.rstrip(b"/") in SUBSCRIPTION_PATHS:
        return telemetry.answer(api.extensions, api.subscribe, request)
    return NOT_FOUND


def _answer_invocation(session: Session, request: Request) -> bytes:
    request_id, _, call = request.path[len(INVOCATION_PREFIX) :].partition(b"/")
    handle = INVOCATION_CALLS.get(call)
    if handle is None:
        return NOT_FOUND
    if request_id != session.request_id.encode():
        return INVALID_REQUEST_ID
    return handle(session, request)
