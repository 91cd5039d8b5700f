"""HTTP API routes, served off FastAPI: one look into the route table, one call over the broker.

What the limits and answers follow: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from broker.invocation import Reply, new_request_id, now_ms
from broker.settings import Settings
from gateway.function_calls import FunctionCalls, Gone
from gateway.http_api import answers
from gateway.http_api.answers import Refusal, send_out
from gateway.http_api.authorizers import Authorizers
from gateway.http_api.calling import call_function
from gateway.http_api.routes import Route, Routes
from gateway.http_body import BodyTooLarge, CallerGone, Receive, Scope, Send, read_body
from gateway.invoke_tracing import InvokeTracing
from triggers.events.http_events import event_v1, event_v2
from triggers.events.http_request import Headers, HttpRequest, forwarded
from triggers.events.http_results import HttpResponse, MalformedResult, response_v1, response_v2
from triggers.http_api.cors import is_preflight, preflight, requested_method, value_of, with_cors
from triggers.http_api.request_path import MalformedPath, split_path

log = logging.getLogger(__name__)

API_ID = "lightswitch"
BODY_LIMIT_BYTES = 10 * 1024 * 1024
HEAD_LIMIT_BYTES = 10_240


class HttpApi:
    """An ASGI callable for every path that is not the gateway's own."""

    def __init__(
        self, routes: Routes, calls: FunctionCalls, tracing: InvokeTracing, settings: Settings
    ) -> None:
        self._routes = routes
        self._calls = calls
        self._tracing = tracing
        self._account_id = settings.account_id
        self._authorizers = Authorizers(calls, settings.region)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = new_request_id()
        try:
            response = await self._answer(scope, receive, request_id)
        except Refusal as refusal:
            response = refusal.response
        except CallerGone:
            return
        except Exception:
            log.critical("http_api_failed", extra={"request_id": request_id}, exc_info=True)
            response = answers.internal_error().response
        await send_out(send, response, request_id)

    async def _answer(self, scope: Scope, receive: Receive, request_id: str) -> HttpResponse:
        """The response to a request. Raises Refusal, CallerGone."""
        method, headers = scope["method"], scope["headers"]
        if _head_bytes(scope) > HEAD_LIMIT_BYTES:
            raise answers.headers_too_large()
        try:
            segments = split_path(scope["raw_path"])
        except MalformedPath:
            raise answers.bad_request() from None
        if is_preflight(method, headers):
            asked = self._routes.table.match(requested_method(headers), segments)
            if asked is not None and asked[0].settings.cors is not None:
                return preflight(asked[0].settings.cors, headers)
        found = self._routes.table.match(method, segments)
        if found is None:
            raise answers.not_found()
        route, parameters = found
        response = await self._through_route(route, parameters, segments, scope, receive, request_id)
        return response if route.settings.cors is None else with_cors(route.settings.cors, headers, response)

    async def _through_route(
        self,
        route: Route,
        parameters: dict[str, str],
        segments: list[str],
        scope: Scope,
        receive: Receive,
        request_id: str,
    ) -> HttpResponse:
        """The function's response, or the refusal: browsers read neither without CORS headers."""
        try:
            if route.bucket is not None and not route.bucket.take():
                raise answers.too_many_requests()
            span = self._tracing.begin(scope["headers"], route.record.function_name, request_id)
            try:
                head = self._head(route, parameters, segments, scope, request_id, span.carried[0])
                told = await self._authorizers.by_token(route, head)
                body = await read_body(receive, scope["headers"], BODY_LIMIT_BYTES)
                request = msgspec.structs.replace(head, body=body, authorizer=told)
                return await self._run(route, request, span.carried, _gone(receive))
            finally:
                span.end()
        except BodyTooLarge:
            return answers.too_large().response
        except Refusal as refusal:
            return refusal.response

    async def _run(
        self, route: Route, request: HttpRequest, trace: tuple[str, str], gone: Gone
    ) -> HttpResponse:
        told = await self._authorizers.by_function(route, request, trace, gone)
        if told is not None:
            request = msgspec.structs.replace(request, authorizer=told)
        is_v2 = route.settings.payload_format == "2.0"
        payload = msgspec.json.encode(event_v2(request) if is_v2 else event_v1(request))
        function = route.record.function_name, route.record.qualifier
        timeout_seconds = route.settings.timeout_ms / 1000
        reply = await call_function(
            self._calls, function, payload, request.request_id, trace, timeout_seconds, gone
        )
        return _response(reply, is_v2, route)

    def _head(
        self,
        route: Route,
        parameters: dict[str, str],
        segments: list[str],
        scope: Scope,
        request_id: str,
        trace_header: str,
    ) -> HttpRequest:
        """The request but for its body."""
        source_ip, port = _address(scope, "client")[0], _address(scope, "server")[1]
        headers: Headers = scope["headers"]
        return HttpRequest(
            method=scope["method"],
            path="/" + "/".join(segments),
            query_string=scope["query_string"].decode("latin-1"),
            headers=forwarded(
                headers, source_ip=source_ip, port=port, protocol=scope["scheme"], trace_header=trace_header
            ),
            source_ip=source_ip,
            protocol=f"HTTP/{scope['http_version']}",
            account_id=self._account_id,
            api_id=API_ID,
            domain_name=_without_port(value_of(headers, b"host")),
            request_id=request_id,
            time_ms=now_ms(),
            route_key=route.key.text,
            path_parameters=parameters,
            stage_variables=route.settings.stage_variables,
        )


def _response(reply: Reply, is_v2: bool, route: Route) -> HttpResponse:
    if reply.failure:
        return answers.internal_error().response
    try:
        return response_v2(reply.payload) if is_v2 else response_v1(reply.payload)
    except MalformedResult as error:
        log.warning("malformed_result", extra={"function": route.record.function_name, "reason": str(error)})
        return answers.internal_error().response


def _head_bytes(scope: Scope) -> int:
    line = len(scope["raw_path"]) + len(scope["query_string"])
    return line + sum(len(name) + len(value) for name, value in scope["headers"])


def _address(scope: Scope, end: str) -> tuple[str, int]:
    address: Any = scope.get(end)
    return (address[0], address[1] or 0) if address else ("", 0)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _gone(receive: Receive) -> Gone:
    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    return gone
