"""InvokeAsync, the way to leave an event that came before Invoke; old clients still use it."""

from __future__ import annotations

from typing import Any

import msgspec

from broker.caller import Target
from broker.errors import FunctionNotReady
from broker.foreign_json import UNREADABLE
from gateway.errors import ApiError
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import conflict
from gateway.lambda_api.targets import named_function

MOST_BYTES = 262_144


async def invoke_async(context: Context, request: dict[str, Any]) -> dict[str, Any]:
    """202 means, as for an Invoke of type Event, that it is on disk."""
    name, qualifier = named_function(context, request)
    event = _checked(request["InvokeArgs"])
    try:
        await context.caller.send(Target(name, qualifier), event, request_id=context.request_id)
    except FunctionNotReady as error:
        raise conflict(f"The function {context.names.arn(name)} cannot be called: {error}") from error
    return {"Status": 202}


def _checked(event: bytes) -> bytes:
    """Raises ApiError for what is no JSON, or too much of it."""
    if len(event) > MOST_BYTES:
        text = f"Request must be smaller than {MOST_BYTES} bytes for the InvokeAsync operation"
        raise ApiError("RequestTooLargeException", 413, text)
    try:
        msgspec.json.decode(event or b"{}", type=msgspec.Raw)
    except UNREADABLE as error:
        text = f"Could not parse request body into json: {error}"
        raise ApiError("InvalidRequestContentException", 400, text) from error
    return event or b"{}"
