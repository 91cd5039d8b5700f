"""The gateway's application: the Lambda API, our own API, health, and the way to each.

The outermost callable decides by the path alone. Invoke comes first and meets nothing else; the Lambda API
is plain ASGI; FastAPI serves the rest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from broker.caller import Caller
from broker.errors import BrokerError
from broker.function_logs import FunctionLogs
from broker.interface import Broker
from broker.invocation import new_request_id
from broker.layer_store.interface import LayerStore
from broker.provisioning.interface import ProvisioningStore
from broker.registry.interface import Registry
from broker.settings import Settings
from broker.trigger_store.directory import Directory
from broker.trigger_store.interface import TriggerStore
from gateway.auth import Credentials, SignatureVerifier
from gateway.code_links import CodeLinks
from gateway.container_images.intake import ImageIntake
from gateway.errors import ApiError
from gateway.function_urls.address import read_address
from gateway.function_urls.function_urls import FunctionUrls
from gateway.hooks.hooks import Hooks
from gateway.http_api.routes import Routes
from gateway.http_api.serving import HttpApi
from gateway.http_body import AsgiApp, Receive, Scope, Send
from gateway.invoke import Invoke
from gateway.invoke_request import is_invoke_path, is_stream_path
from gateway.invoke_tracing import InvokeTracing
from gateway.lambda_api.api import LambdaApi
from gateway.lambda_api.context import CodeStore, Context
from gateway.lambda_api.model import load_model
from gateway.lambda_api.operations import OPERATIONS
from gateway.lambda_api.qualifiers import FunctionNames
from gateway.lambda_api.router import Router
from gateway.lambda_api.runtimes import Runtimes
from gateway.lambda_api.translation import translate
from gateway.own_api import OwnApi, answer_error
from gateway.readiness import Readiness
from gateway.s3_objects import S3Objects
from gateway.triggers_api import TriggersApi
from triggers.aws_calls.client import Clients

_OWN = (b"lightswitch", b"healthz", b"readyz")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a gateway is put together from; everything is started and closed by its owner.

    `verifier` and `invoke` are for the same `credentials`: the first of these seals code links.
    """

    settings: Settings
    credentials: Sequence[Credentials]
    broker: Broker
    registry: Registry
    code_store: CodeStore
    function_logs: FunctionLogs
    layers: LayerStore
    provisioning: ProvisioningStore
    trigger_store: TriggerStore
    directory: Directory
    """Of the same store."""
    caller: Caller
    verifier: SignatureVerifier
    tracing: InvokeTracing
    readiness: Readiness
    invoke: Invoke
    """Serves `POST /2015-03-31/functions/NAME/invocations`, signature included."""
    invoke_stream: AsgiApp
    """Serves the same with a streamed response."""
    function_urls: FunctionUrls
    """Serves what `read_address` finds to be a function URL."""
    image_directories: Sequence[Path] = ()
    """Where container images may come from."""


def create_app(parts: Parts) -> AsgiApp:
    """The ASGI application of one gateway process. Reads the service model: call it once."""
    settings, model = parts.settings, load_model()
    names = FunctionNames(settings.region, settings.account_id)
    links = CodeLinks(parts.credentials)
    context = Context(
        settings=settings,
        registry=parts.registry,
        broker=parts.broker,
        code_store=parts.code_store,
        objects=S3Objects(settings.region, settings.endpoint_urls),
        names=names,
        runtimes=Runtimes(parts.broker, model.shape_for("Runtime").metadata["enum"]),
        code_links=links,
        layers=parts.layers,
        provisioning=parts.provisioning,
        images=ImageIntake(parts.code_store, parts.image_directories, settings.data_dir),
        trigger_store=parts.trigger_store,
        directory=parts.directory,
        aws_clients=Clients(settings.endpoint_urls),
        caller=parts.caller,
    )
    router = Router(model)
    lambda_api = LambdaApi(context, router, OPERATIONS, parts.verifier)
    own_api = OwnApi(
        parts.broker,
        parts.registry,
        parts.code_store,
        parts.function_logs,
        names,
        links,
        parts.verifier,
        TriggersApi(parts.trigger_store, parts.directory, parts.registry, names),
    )
    hooks = Hooks(settings, parts.trigger_store, parts.directory, parts.caller)
    web = _web(parts.readiness, own_api, names, hooks)
    http_api = HttpApi(Routes(parts.directory), parts.invoke.calls, parts.tracing, settings)
    return _Front(
        parts.invoke,
        parts.invoke_stream,
        parts.function_urls,
        lambda_api,
        router.prefixes(),
        web,
        http_api,
    )


class _Front:
    """Sends each request on by its path: what is none of the gateway's own is the HTTP API's."""

    __slots__ = (
        "_function_urls",
        "_http_api",
        "_invoke",
        "_invoke_stream",
        "_lambda_api",
        "_lambda_prefixes",
        "_web",
    )

    def __init__(
        self,
        invoke: AsgiApp,
        invoke_stream: AsgiApp,
        function_urls: AsgiApp,
        lambda_api: AsgiApp,
        lambda_prefixes: frozenset[str],
        web: AsgiApp,
        http_api: AsgiApp,
    ) -> None:
        self._invoke = invoke
        self._invoke_stream = invoke_stream
        self._function_urls = function_urls
        self._lambda_api = lambda_api
        self._lambda_prefixes = frozenset(prefix.encode() for prefix in lambda_prefixes)
        self._web = web
        self._http_api = http_api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._web(scope, receive, send)
            return
        raw_path: bytes = scope["raw_path"]
        first = raw_path[1:].partition(b"/")[0]
        if scope["method"] == "POST" and is_invoke_path(raw_path):
            await self._invoke(scope, receive, send)
        elif scope["method"] == "POST" and is_stream_path(raw_path):
            await self._invoke_stream(scope, receive, send)
        elif read_address(raw_path, scope["headers"]) is not None:
            await self._function_urls(scope, receive, send)
        elif first in self._lambda_prefixes:
            await self._lambda_api(scope, receive, send)
        elif first in _OWN or (scope["method"] == "HEAD" and raw_path == b"/"):
            # Stores that push ask the origin of their webhook whether somebody is there.
            await self._web(scope, receive, send)
        else:
            await self._http_api(scope, receive, send)


def _web(readiness: Readiness, own_api: OwnApi, names: FunctionNames, hooks: Hooks) -> AsgiApp:
    app = FastAPI(
        title="Lightswitch",
        docs_url="/lightswitch/docs",
        redoc_url=None,
        openapi_url="/lightswitch/openapi.json",
        lifespan=_pinging(readiness, hooks),
    )
    app.include_router(own_api.router())
    app.include_router(hooks.router())

    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"])
    async def readyz() -> JSONResponse:
        """Whether requests can be served: the broker answered lately, and the process is not draining."""
        age = readiness.age_seconds
        state = {
            "ready": readiness.ready,
            "draining": readiness.draining,
            "broker_ping_age_seconds": None if age is None else round(age, 3),
        }
        return JSONResponse(state, status_code=200 if readiness.ready else 503)

    @app.exception_handler(ApiError)
    async def api_error(request: Request, error: ApiError) -> Response:
        return answer_error(error, new_request_id())

    @app.exception_handler(BrokerError)
    async def broker_error(request: Request, error: BrokerError) -> Response:
        return answer_error(translate(error, names), new_request_id())

    return app


def _pinging(readiness: Readiness, hooks: Hooks) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await readiness.start()
        try:
            yield
        finally:
            await readiness.stop()
            await hooks.close()

    return lifespan
