"""Function URLs: any HTTP client calls a function, and gets its result as a response.

Buffered ones are as hot as Invoke and take the same short cut from uvicorn's parser (`answer`); streamed
ones, and whatever is unusual, come through ASGI.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from broker.errors import BrokerError, FunctionNotFound
from broker.interface import IncomingStream
from broker.invocation import Invocation, Reply, new_request_id
from broker.registry.interface import Registry
from broker.registry.model import FunctionRecord
from gateway.auth import SignatureVerifier
from gateway.errors import ApiError
from gateway.function_calls import FunctionCalls, Target, unanswered
from gateway.function_urls.access import forbidden, iam_authorizer, is_public
from gateway.function_urls.address import Address, read_address
from gateway.function_urls.answers import (
    JSON,
    Url,
    finished,
    function_failed,
    malformed,
    no_url,
    refusal,
    response_of,
)
from gateway.function_urls.cors import is_preflight, preflight_headers
from gateway.function_urls.prelude import Prelude
from gateway.function_urls.requests import UrlRequest, payload_of, too_large
from gateway.hang_up import unless_gone
from gateway.http_body import BodyTooLarge, CallerGone, Receive, Scope, Send, read_body, send_response
from gateway.invoke import InvokeAnswer
from gateway.invoke_request import SYNC_LIMIT_BYTES
from gateway.invoke_tracing import CallSpan, InvokeTracing
from triggers.events.http_results import HttpResponse, MalformedResult

log = logging.getLogger(__name__)

_JSON_TYPE = (b"content-type", JSON)
_BODILESS = (204, 304)
_MOST_KNOWN = 65536


class FunctionUrls:
    """Serves all function URLs of an installation; also an ASGI callable."""

    def __init__(
        self,
        calls: FunctionCalls,
        registry: Registry,
        verifier: SignatureVerifier,
        tracing: InvokeTracing,
        account_id: str,
    ) -> None:
        self._calls = calls
        self._registry = registry
        self._verifier = verifier
        self._tracing = tracing
        self._account_id = account_id
        self._names: dict[str, str] = {}
        """Function by URL id; an id never moves to another function."""

    def is_buffered(self, address: Address) -> bool:
        """Whether `answer` can serve it; False also where that is not known without waiting."""
        name = self._names.get(address.url_id)
        record = self._registry.cached(name) if name is not None else None
        url = _url(record, address.url_id) if record is not None else None
        return url is not None and url.config.invoke_mode == "BUFFERED"

    async def answer(self, request: UrlRequest, gone: Callable[[], Awaitable[None]]) -> InvokeAnswer:
        """The whole response of a buffered URL, whatever becomes of it. Raises CallerGone."""
        request_id, url = new_request_id(), None
        try:
            url = await self._find(request.address)
            return await self._answer(url, request, request_id, gone)
        except (ApiError, BrokerError) as error:
            return refusal(error, request_id, url, request.headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id, url = new_request_id(), None

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        try:
            address = read_address(scope["raw_path"], scope["headers"])
            assert address is not None
            body = await read_body(receive, scope["headers"], SYNC_LIMIT_BYTES)
            request = _from_scope(scope, body, address)
            url = await self._find(address)
            if url.config.invoke_mode == "BUFFERED":
                answer = await self._answer(url, request, request_id, gone)
                await _send(send, answer, scope["method"])
            else:
                await unless_gone(self._answer_streamed(url, request, request_id, send), receive)
        except CallerGone:
            return
        except BodyTooLarge:
            await _send(send, refusal(too_large(), request_id, url, scope["headers"]), scope["method"])
        except (ApiError, BrokerError) as error:
            await _send(send, refusal(error, request_id, url, scope["headers"]), scope["method"])

    async def _find(self, address: Address) -> Url:
        """Raises ApiError, BrokerUnavailable."""
        name = self._names.get(address.url_id) or await self._registry.function_of_url(address.url_id)
        if name is not None:
            self._remember(address.url_id, name)
            try:
                record = self._registry.cached(name) or await self._registry.get(name)
            except FunctionNotFound:
                raise no_url(address.url_id) from None
            if (url := _url(record, address.url_id)) is not None:
                return url
        raise no_url(address.url_id)

    def _remember(self, url_id: str, name: str) -> None:
        if len(self._names) >= _MOST_KNOWN:
            self._names.clear()
        self._names[url_id] = name

    async def _answer(
        self, url: Url, request: UrlRequest, request_id: str, gone: Callable[[], Awaitable[None]]
    ) -> InvokeAnswer:
        if (answer := _preflight(url, request, request_id)) is not None:
            return answer
        target, authorizer = self._admit(url, request)
        span = self._tracing.begin(request.headers, url.record.name, request_id)
        try:
            invocation = self._invocation(target, request, request_id, span, authorizer)
            reply = await self._calls.call(invocation, target.patience_seconds, gone)
        finally:
            span.end()
        return finished(url, request.headers, request_id, response_of(reply))

    def _admit(self, url: Url, request: UrlRequest) -> tuple[Target, dict[str, object] | None]:
        """What to run, for whom. Raises ApiError where the caller may not, or it cannot run."""
        authorizer = None
        if url.config.auth_type == "AWS_IAM":
            authorizer = self._signer(request)
        elif not is_public(url.record, url.key):
            raise forbidden()
        if len(request.body) > SYNC_LIMIT_BYTES:
            raise too_large()
        return self._calls.ready(url.record, url.qualifier), authorizer

    def _signer(self, request: UrlRequest) -> dict[str, object]:
        """Who signed a request, as functions see it. Raises ApiError; who did not even try is forbidden."""
        if all(name != b"authorization" for name, _ in request.headers):
            raise forbidden()
        identity = self._verifier.verify(
            request.method, request.raw_path, request.query_string, request.headers, request.body
        )
        return iam_authorizer(identity.access_key_id, self._account_id)

    def _invocation(
        self,
        target: Target,
        request: UrlRequest,
        request_id: str,
        span: CallSpan,
        authorizer: dict[str, object] | None,
        *,
        takes_stream: bool = False,
    ) -> Invocation:
        payload = payload_of(request, request_id, self._account_id, span.carried[0], authorizer)
        return self._calls.invocation(target, request_id, payload, span.carried, takes_stream=takes_stream)

    async def _answer_streamed(self, url: Url, request: UrlRequest, request_id: str, send: Send) -> None:
        if (answer := _preflight(url, request, request_id)) is not None:
            await _send(send, answer, request.method)
            return
        target, authorizer = self._admit(url, request)
        span = self._tracing.begin(request.headers, url.record.name, request_id)
        begun = False
        try:
            invocation = self._invocation(target, request, request_id, span, authorizer, takes_stream=True)
            async with (
                asyncio.timeout(target.patience_seconds),
                self._calls.streamed(invocation) as incoming,
            ):
                head, last = await _head(incoming, request_id)
                begun = True
                await _send_stream(send, finished(url, request.headers, request_id, head), incoming, last)
        except TimeoutError:
            if not begun:
                raise unanswered(target.patience_seconds) from None
            log.warning("stream_abandoned", extra={"request_id": request_id})
        finally:
            span.end()


async def _head(incoming: IncomingStream, request_id: str) -> tuple[HttpResponse, Reply | None]:
    """Status, headers and the first bytes; the last word too, where nothing follows them."""
    prelude: Prelude | None = None
    while isinstance(piece := await incoming.read(), bytes):
        prelude = prelude or Prelude(incoming.content_type)
        try:
            if (head := prelude.take(piece)) is not None:
                return head, None
        except MalformedResult as error:
            raise malformed(error, request_id) from error
    if piece.failure:
        raise function_failed(piece)
    try:
        # Nothing streamed: a function that answers whole has its result sent on as it is.
        return prelude.end() if prelude else HttpResponse(200, [_JSON_TYPE], piece.payload), piece
    except MalformedResult as error:
        raise malformed(error, request_id) from error


async def _send_stream(send: Send, head: InvokeAnswer, incoming: IncomingStream, last: Reply | None) -> None:
    """The rest as it comes. Where it breaks off, so does the response: no end is sent."""
    await send({"type": "http.response.start", "status": head.status, "headers": head.headers})
    piece: bytes | Reply = head.body
    while isinstance(piece, bytes):
        if piece and head.status not in _BODILESS:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        piece = last or await incoming.read()
    if piece.failure:
        log.warning("stream_broke_off", extra={"request_id": piece.request_id, "failure": piece.failure})
        return
    await send({"type": "http.response.body", "body": b""})


def _preflight(url: Url, request: UrlRequest, request_id: str) -> InvokeAnswer | None:
    cors = url.config.cors
    if cors is None or not is_preflight(request.method, request.headers):
        return None
    headers = preflight_headers(cors, request.headers)
    return InvokeAnswer(200, [(b"x-amzn-requestid", request_id.encode()), *headers], b"")


def _url(record: FunctionRecord, url_id: str) -> Url | None:
    for key, config in record.url_configs.items():
        if config.url_id == url_id:
            return Url(config, record, key)
    return None


def _from_scope(scope: Scope, body: bytes, address: Address) -> UrlRequest:
    client: str = scope["client"][0] if scope.get("client") else ""
    return UrlRequest(
        scope["method"],
        scope["raw_path"],
        scope["query_string"],
        scope["headers"],
        body,
        client,
        scope["scheme"],
        scope["http_version"],
        address,
    )


async def _send(send: Send, answer: InvokeAnswer, method: str) -> None:
    if method == "HEAD" or answer.status in _BODILESS:
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": b""})
    else:
        await send_response(send, answer.status, answer.headers, answer.body)
