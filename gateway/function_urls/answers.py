"""What a function URL answers: the function's result as a response, or AWS's words for what went wrong."""

from __future__ import annotations

import logging

import msgspec

from broker.errors import BrokerError, BrokerUnavailable, Throttled
from broker.invocation import LATEST, Reply
from broker.registry.model import FunctionRecord, FunctionUrlConfig
from gateway.errors import ApiError
from gateway.function_urls.cors import with_cors
from gateway.invoke import Headers, InvokeAnswer
from gateway.lambda_api.errors import throttled
from triggers.events.http_results import HttpResponse, MalformedResult, response_v2

log = logging.getLogger(__name__)

JSON = b"application/json"


class Url(msgspec.Struct, frozen=True):
    """A function URL as the registry has it now."""

    config: FunctionUrlConfig
    record: FunctionRecord
    key: str
    """Qualifier: an alias, or `$LATEST`."""

    @property
    def qualifier(self) -> str:
        """As a call has it: empty for the unqualified function."""
        return "" if self.key == LATEST else self.key


def finished(url: Url, request: Headers, request_id: str, response: HttpResponse) -> InvokeAnswer:
    """A response with what the URL itself adds to the function's headers; `request` are the caller's."""
    headers = response.headers
    if url.config.cors is not None:
        headers = with_cors(url.config.cors, request, headers)
    return InvokeAnswer(
        response.status, [*headers, (b"x-amzn-requestid", request_id.encode())], response.body
    )


def response_of(reply: Reply) -> HttpResponse:
    """A buffered result. Raises ApiError: 502 for a failure and for a result that is no response."""
    if reply.failure:
        raise function_failed(reply)
    try:
        return response_v2(reply.payload, JSON)
    except MalformedResult as error:
        raise malformed(error, reply.request_id) from error


def refusal(
    error: ApiError | BrokerError, request_id: str, url: Url | None, request: Headers
) -> InvokeAnswer:
    """An error's answer; pages of other origins may read it where they may read any."""
    if isinstance(error, Throttled):
        error = throttled()
    elif isinstance(error, BrokerUnavailable):
        error = ApiError("ServiceUnavailableException", 503, str(error), fault="Service")
    elif isinstance(error, BrokerError):
        log.error("function_url_failed", extra={"request_id": request_id, "reason": str(error)})
        error = bad_gateway()
    headers = error.raw_headers(request_id)
    if url is not None and url.config.cors is not None:
        headers = with_cors(url.config.cors, request, headers)
    return InvokeAnswer(error.status, headers, error.body())


def no_url(url_id: str) -> ApiError:
    """Nothing is at that address."""
    text = f"There is no function URL {url_id[:64]}"
    return ApiError("ResourceNotFoundException", 404, text, message_member="Message")


def function_failed(reply: Reply) -> ApiError:
    """AWS tells callers of a URL nothing of the function's error; its log does."""
    if reply.failure == "Platform":
        text = reply.payload.decode("utf-8", "replace")
        return ApiError("ServiceException", 500, text, message_member="Message", fault="Service")
    return bad_gateway()


def bad_gateway() -> ApiError:
    """What the function did cannot be a response."""
    return ApiError(
        "InternalServerErrorException", 502, "Internal Server Error", message_member="Message", fault=""
    )


def malformed(error: MalformedResult, request_id: str) -> ApiError:
    """Callers are told nothing of it; our log says what was wrong."""
    log.warning("result_malformed", extra={"request_id": request_id, "reason": str(error)})
    return bad_gateway()
