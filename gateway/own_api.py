"""What Lightswitch tells beyond Lambda's API: invocations by id, workers, counts, logs, triggers, code.

Under `/lightswitch/v1/`. Signed like the Lambda API, but for code links, which carry their own seal.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from broker.errors import CodeNotFound
from broker.function_logs import FunctionLogs
from broker.interface import Broker
from broker.registry.interface import Registry
from gateway.auth import SignatureVerifier
from gateway.code_links import CodeLinks
from gateway.errors import ApiError
from gateway.lambda_api.context import CodeStore
from gateway.lambda_api.errors import access_denied, invalid_parameter, not_found
from gateway.lambda_api.qualifiers import FunctionNames
from gateway.triggers_api import TriggersApi

PREFIX = "/lightswitch/v1"
MOST_LOG_EVENTS = 1000
LONGEST_WAIT_SECONDS = 20


class OwnApi:
    """Handlers of the routes that `router` lists."""

    def __init__(
        self,
        broker: Broker,
        registry: Registry,
        code_store: CodeStore,
        function_logs: FunctionLogs,
        names: FunctionNames,
        code_links: CodeLinks,
        verifier: SignatureVerifier,
        triggers: TriggersApi,
    ) -> None:
        self._broker = broker
        self._registry = registry
        self._code_store = code_store
        self._function_logs = function_logs
        self._names = names
        self._code_links = code_links
        self._verifier = verifier
        self._triggers = triggers

    def router(self) -> APIRouter:
        """The routes, for an application to include."""
        signed = APIRouter(prefix=PREFIX, dependencies=[Depends(self._signed)], tags=["lightswitch"])
        signed.get("/invocations/{request_id}")(self.get_invocation)
        signed.get("/workers")(self.list_workers)
        signed.get("/depth")(self.get_depth)
        signed.get("/metrics")(self.get_metrics)
        signed.get("/functions/{name}/logs")(self.read_logs)
        self._triggers.add_to(signed)
        routes = APIRouter()
        routes.include_router(signed)
        routes.get(f"{PREFIX}/code/{{digest}}", tags=["lightswitch"])(self.download_code)
        return routes

    async def get_invocation(self, request_id: str) -> Response:
        """How an asynchronous invocation ended, or that it is pending."""
        outcome = await self._broker.outcome(request_id)
        if outcome is None:
            raise not_found(f"No asynchronous invocation {request_id} is known; its record may have expired.")
        return _json(outcome)

    async def list_workers(self) -> Response:
        """Registered workers, with those whose lease has lapsed marked as not alive."""
        return _json({"workers": await self._broker.workers()})

    async def get_depth(self) -> Response:
        """How much work is queued, running, parked and delayed."""
        return _json(await self._broker.depth())

    async def get_metrics(self) -> Response:
        """What was counted: `{"RecursiveInvocationsDropped": {"FUNCTION": 1}}`."""
        return _json(await self._broker.counts())

    async def read_logs(
        self,
        name: str,
        after: str = "",
        limit: Annotated[int, Query(ge=1, le=MOST_LOG_EVENTS)] = 100,
        wait_seconds: Annotated[float, Query(ge=0, le=LONGEST_WAIT_SECONDS)] = 0,
    ) -> Response:
        """What a function wrote behind a cursor; `next` is the cursor to go on from.

        Where there is nothing yet, waits up to `wait_seconds` for something.
        """
        await self._registry.get(name)
        try:
            return _json(await self._function_logs.read(name, after, limit, wait_seconds))
        except ValueError as error:
            raise invalid_parameter(str(error)) from error

    async def download_code(self, digest: str, request: Request) -> Response:
        """The package that a link of GetFunction points to."""
        if not self._code_links.accepts(digest, request.url.query):
            raise access_denied("The link has expired, or is none of ours; GetFunction gives a new one.")
        try:
            package = await self._code_store.get(digest)
        except CodeNotFound as error:
            raise not_found("The code is gone.") from error
        return Response(package, media_type="application/zip")

    async def _signed(self, request: Request) -> None:
        scope = request.scope
        self._verifier.verify(
            request.method, scope["raw_path"], scope["query_string"], scope["headers"], await request.body()
        )


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def answer_error(error: ApiError, request_id: str) -> Response:
    """An ApiError as FastAPI's response."""
    headers = {name.decode(): value.decode() for name, value in error.raw_headers(request_id)}
    return Response(error.body(), status_code=error.status, headers=headers)
