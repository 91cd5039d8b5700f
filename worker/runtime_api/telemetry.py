"""PUT /2022-07-01/telemetry (Telemetry API) and PUT /2020-08-15/logs (Logs API): an extension subscribes."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from worker.runtime_api.extension_session import ExtensionSession, Refused
from worker.runtime_api.extensions import forbidden, identifier_of
from worker.runtime_api.messages import TOO_LARGE, Request, json_answer, refusal
from worker.telemetry.subscription import InvalidSubscription, Subscription, parsed

TELEMETRY_PATH = b"/2022-07-01/telemetry"
LOGS_PATH = b"/2020-08-15/logs"

Subscribe = Callable[[str, Subscription], None]
"""Called with an extension's name. Raises InvalidSubscription."""

SUBSCRIBED = json_answer(HTTPStatus.OK, "OK")


def answer(session: ExtensionSession, subscribe: Subscribe, request: Request) -> bytes:
    """The HTTP response to a subscription."""
    logs = request.path.rstrip(b"/") == LOGS_PATH
    family = "Logs" if logs else "Telemetry"
    if request.too_large:
        return TOO_LARGE
    try:
        extension = session.find(identifier_of(request))
        if not session.registration_open and session.quiet:
            raise Refused(f"{family}.SubscriptionClosed", f"{family} API subscription is closed already")
        subscribe(extension.name, parsed(request.body, logs=logs))
    except Refused as refused:
        return forbidden(refused)
    except InvalidSubscription as error:
        error_type = "Logs.ValidationError" if logs else "ValidationError"
        return refusal(HTTPStatus.BAD_REQUEST, error_type, str(error))
    return SUBSCRIBED
