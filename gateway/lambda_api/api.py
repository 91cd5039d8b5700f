"""The Lambda REST API as one ASGI application: from the request's bytes to an operation and back.

Everything but Invoke, which has a path of its own. Order matters: the signature is checked before anything
is said about what was asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from broker.errors import BrokerError
from broker.invocation import new_request_id
from gateway.auth import SignatureVerifier
from gateway.errors import ApiError
from gateway.http_body import (
    BodyTooLarge,
    CallerGone,
    Receive,
    Scope,
    Send,
    read_body,
    send_response,
)
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import not_implemented, too_large, unavailable, unknown_operation
from gateway.lambda_api.operations import Operation
from gateway.lambda_api.parsing import parse_query, parse_request
from gateway.lambda_api.router import Route, Router
from gateway.lambda_api.serialization import Response, serialize
from gateway.lambda_api.translation import translate
from gateway.lambda_api.validation import validate

REQUEST_BYTES = 70_167_211
_THREAD_BYTES = 262_144
"""From here on, hashing and decoding a body would hold up other callers: a thread does it."""

log = logging.getLogger(__name__)


class LambdaApi:
    """Serves `operations` by the routes of `router`; every request must be signed."""

    def __init__(
        self,
        context: Context,
        router: Router,
        operations: Mapping[str, Operation],
        verifier: SignatureVerifier,
    ) -> None:
        self._context = context
        self._router = router
        self._operations = operations
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = new_request_id()
        try:
            response = await self._answer(scope, receive, request_id)
        except CallerGone:
            return
        except ApiError as error:
            response = Response(error.status, error.raw_headers(request_id), error.body())
        await send_response(send, response.status, response.headers, response.body)

    async def _answer(self, scope: Scope, receive: Receive, request_id: str) -> Response:
        query = parse_query(scope["query_string"])
        route = self._router.match(scope["method"], scope["raw_path"], query)
        body = await self._read(receive, scope, route)
        parsing = (scope, query, body, route)
        if len(body) > _THREAD_BYTES:
            request = await asyncio.to_thread(self._checked_request, *parsing)
        else:
            request = self._checked_request(*parsing)
        if route is None:
            raise unknown_operation(scope["method"], scope["path"])
        result = await self._run(route.operation.name, request, _base_url(scope), request_id)
        return serialize(route.operation, result, request_id)

    async def _read(self, receive: Receive, scope: Scope, route: Route | None) -> bytes:
        try:
            return await read_body(receive, scope["headers"], REQUEST_BYTES)
        except BodyTooLarge:
            name = route.operation.name if route else "unknown"
            raise too_large(
                f"Request must be smaller than {REQUEST_BYTES} bytes for the {name} operation"
            ) from None

    def _checked_request(
        self, scope: Scope, query: list[tuple[str, str]], body: bytes, route: Route | None
    ) -> dict[str, Any]:
        """Parameters of a request that is signed and holds to its model. Raises ApiError."""
        self._verifier.verify(
            scope["method"], scope["raw_path"], scope["query_string"], scope["headers"], body
        )
        if route is None:
            return {}
        if route.operation.name not in self._operations:
            raise not_implemented(route.operation.name)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request = parse_request(route.operation, route.uri, query, headers, body)
        validate(route.operation.input_shape, request)
        return request

    async def _run(
        self, operation: str, request: dict[str, Any], base_url: str, request_id: str
    ) -> dict[str, Any]:
        context = replace(self._context, base_url=base_url, request_id=request_id)
        try:
            return await self._operations[operation](context, request)
        except BrokerError as error:
            raise translate(error, self._context.names) from error
        except ApiError:
            raise
        except Exception as error:
            log.exception("operation_failed", extra={"operation": operation, "request_id": request_id})
            raise unavailable("The platform failed; its log knows more.") from error


def _base_url(scope: Scope) -> str:
    """Scheme and host as the caller wrote them."""
    for name, value in scope["headers"]:
        if name == b"host":
            return f"{scope['scheme']}://{value.decode('latin-1')}"
    return ""
