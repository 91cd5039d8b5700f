"""Calling a function for a request: one message, one reply, in the time that the route allows."""

from __future__ import annotations

import asyncio
import logging

from broker.errors import BrokerUnavailable, Throttled
from broker.invocation import Reply
from gateway.errors import ApiError
from gateway.function_calls import FunctionCalls, Gone
from gateway.http_api.answers import internal_error, too_large, unavailable
from gateway.invoke_request import SYNC_LIMIT_BYTES

log = logging.getLogger(__name__)


async def call_function(
    calls: FunctionCalls,
    function: tuple[str, str],
    payload: bytes,
    request_id: str,
    trace: tuple[str, str],
    timeout_seconds: float,
    gone: Gone,
) -> Reply:
    """The function's reply, whose `failure` is its own. `function`: name and qualifier.

    Raises Refusal, worded as an HTTP API answers; CallerGone.
    """
    if len(payload) > SYNC_LIMIT_BYTES:
        raise too_large()
    try:
        async with asyncio.timeout(timeout_seconds):
            target = await calls.find(*function)
            invocation = calls.invocation(target, request_id, payload, trace)
            return await calls.call(invocation, target.patience_seconds, gone)
    except (TimeoutError, Throttled, BrokerUnavailable) as error:
        log.info("route_unavailable", extra={"function": function[0], "reason": repr(error)})
        raise unavailable() from error
    except ApiError as error:
        log.warning("route_failed", extra={"function": function[0], "reason": error.message})
        raise internal_error() from error
