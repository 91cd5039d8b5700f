"""POST /2020-01-01/extension/register, init/error and exit/error; `event/next` waits in the connection.

Statuses and error types are those of AWS's own Runtime API server (its source is public).
"""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from worker.environments.interface import EnvironmentSpec
from worker.runtime_api.extension_session import ExtensionSession, Refused
from worker.runtime_api.messages import ACCEPTED, TOO_LARGE, Request, json_answer, refusal

PREFIX = b"/2020-01-01/extension/"
EVENT_NEXT_PATH = PREFIX + b"event/next"

NAME_HEADER = b"lambda-extension-name"
IDENTIFIER_HEADER = b"lambda-extension-identifier"
ERROR_TYPE_HEADER = b"lambda-extension-function-error-type"
FEATURE_HEADER = b"lambda-extension-accept-feature"


class _Registration(msgspec.Struct):
    events: list[str] | None = None
    configurationKeys: list[str] | None = None


def identifier_of(request: Request) -> str:
    """Which extension calls."""
    return request.headers.get(IDENTIFIER_HEADER, b"").decode("latin-1")


def forbidden(refused: Refused) -> bytes:
    """The HTTP response to a call that is not allowed."""
    return refusal(HTTPStatus.FORBIDDEN, refused.error_type, str(refused))


def answer(session: ExtensionSession, spec: EnvironmentSpec, request: Request) -> bytes | None:
    """The HTTP response to any call but `event/next`; None where there is no such call."""
    if request.method != b"POST":
        return None
    if request.too_large:
        return TOO_LARGE
    try:
        match request.path[len(PREFIX) :]:
            case b"register":
                return _register(session, spec, request)
            case b"init/error":
                return _report_error(session, request, init=True)
            case b"exit/error":
                return _report_error(session, request, init=False)
    except Refused as refused:
        return forbidden(refused)
    return None


def _register(session: ExtensionSession, spec: EnvironmentSpec, request: Request) -> bytes:
    name = request.headers.get(NAME_HEADER, b"").decode("latin-1")
    if not name:
        raise Refused("Extension.InvalidExtensionName", "Empty extension name")
    extension = session.register(name, _events(request.body))
    document = {
        "functionName": spec.function_name,
        "functionVersion": spec.version,
        "handler": spec.handler,
    }
    features = request.headers.get(FEATURE_HEADER, b"").split(b",")
    if b"accountId" in [feature.strip() for feature in features]:
        document["accountId"] = spec.function_arn.split(":")[4]
    headers = f"Lambda-Extension-Identifier: {extension.identifier}\r\n"
    return json_answer(HTTPStatus.OK, document, headers)


def _events(body: bytes) -> list[str]:
    try:
        registration = msgspec.json.decode(body, type=_Registration)
    except msgspec.MsgspecError as error:
        raise Refused("InvalidRequestFormat", str(error)) from error
    if registration.configurationKeys:
        message = "configurationKeys are deprecated; use environment variables instead"
        raise Refused("InvalidRequestFormat", message)
    return registration.events or []


def _report_error(session: ExtensionSession, request: Request, *, init: bool) -> bytes:
    session.find(identifier_of(request))
    error_type = request.headers.get(ERROR_TYPE_HEADER, b"").decode("latin-1")
    if not error_type:
        message = "Lambda-Extension-Function-Error-Type not found"
        raise Refused("Extension.MissingHeader", message)
    session.report_error(identifier_of(request), error_type, init=init)
    return ACCEPTED
