"""A gateway served by uvicorn in a thread of the test process, over a real Redis, and boto3 to call it."""

from __future__ import annotations

import asyncio
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

import boto3
import pytest
import uvicorn
import uvloop
from botocore.config import Config
from botocore.exceptions import ClientError

from broker.caller import Caller
from broker.code_store import CodeStore
from broker.function_logs import RedisFunctionLogs
from broker.layer_store.memory_store import MemoryLayerStore
from broker.provisioning.memory_store import MemoryProvisioningStore
from broker.redis_broker.broker import RedisBroker
from broker.registry.redis_registry import RedisRegistry
from broker.settings import Settings
from broker.tracing import Tracing
from broker.trigger_store.directory import Directory
from broker.trigger_store.redis_store import RedisTriggerStore
from gateway.app import Parts, create_app
from gateway.auth import Credentials, SignatureVerifier
from gateway.function_urls.function_urls import FunctionUrls
from gateway.invoke import Invoke
from gateway.invoke_protocol import InvokeProtocol
from gateway.invoke_stream import InvokeStream
from gateway.invoke_tracing import InvokeTracing
from gateway.lambda_api.qualifiers import FunctionNames
from gateway.readiness import Readiness
from tests.deployment_packages import package
from tests.redis_server import RedisServer

KEY = Credentials("AKIDTEST", "the-secret-of-the-tests")
ROLE = "arn:aws:iam::123456789012:role/test"
ARN = "arn:aws:lambda:us-east-1:123456789012:function"


class RunningGateway:
    """The server's thread and the parts that live on its loop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.broker = RedisBroker(settings.redis_url, settings.namespace, settings.lanes)
        self.registry = RedisRegistry(settings.redis_url, settings.namespace)
        self.logs = RedisFunctionLogs(settings.redis_url, settings.namespace)
        self.triggers = RedisTriggerStore(settings.redis_url, settings.namespace)
        self.provisioning = MemoryProvisioningStore()
        self.readiness = Readiness(self.broker)
        self.images = settings.data_dir / "images"
        self.images.mkdir(exist_ok=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve()), name="gateway")

    def start(self) -> None:
        self._thread.start()
        self._loop = self._ready.result(timeout=20)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=20)
        self._listener.close()

    def run(self, step: Any) -> Any:
        """Await something on the server's loop."""
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(timeout=20)

    def on_loop(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call something on the server's loop, soon."""
        self._loop.call_soon_threadsafe(function, *arguments)

    def client(self, service: str = "lambda", **options: Any) -> Any:
        options.setdefault("aws_access_key_id", KEY.access_key_id)
        options.setdefault("aws_secret_access_key", KEY.secret_access_key)
        options.setdefault("region_name", self.settings.region)
        # The model's own checks are off where a test wants the server's.
        config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
        return boto3.client(service, endpoint_url=self.url, config=config, **options)

    async def _serve(self) -> None:
        try:
            await self.broker.start()
            await self.registry.start()
            await self.logs.start()
            await self.triggers.start()
            self.directory = Directory(self.triggers)
            await self.directory.start()
            parts = await self._parts()
            self.config = uvicorn.Config(
                create_app(parts),
                http=partial(InvokeProtocol, parts.invoke, parts.function_urls),  # type: ignore[arg-type]
                log_level="warning",
                lifespan="on",
                timeout_graceful_shutdown=2,
            )
            self._server = _SignallingServer(self.config, self._ready)
            await self._server.serve(sockets=[self._listener])
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            raise
        finally:
            await self.directory.close()
            await self.triggers.close()
            await self.logs.close()
            await self.registry.close()
            await self.broker.close()

    async def _parts(self) -> Parts:
        verifier = SignatureVerifier([KEY], self.settings.region)
        names = FunctionNames(self.settings.region, self.settings.account_id)
        tracing = InvokeTracing(Tracing.from_environ("gateway", {}))
        inbox = await self.broker.inbox()
        invoke = Invoke(self.broker, inbox, self.registry, verifier, names, tracing)
        return Parts(
            settings=self.settings,
            credentials=[KEY],
            broker=self.broker,
            registry=self.registry,
            code_store=CodeStore(self.settings),
            function_logs=self.logs,
            layers=MemoryLayerStore(),
            provisioning=self.provisioning,
            trigger_store=self.triggers,
            directory=self.directory,
            caller=Caller(self.broker, inbox, self.registry, self.settings),
            verifier=verifier,
            tracing=tracing,
            readiness=self.readiness,
            invoke=invoke,
            invoke_stream=InvokeStream(invoke.calls, verifier, tracing),
            function_urls=FunctionUrls(
                invoke.calls, self.registry, verifier, tracing, self.settings.account_id
            ),
            image_directories=(self.images,),
        )


class _SignallingServer(uvicorn.Server):
    """Says when it serves."""

    def __init__(self, config: uvicorn.Config, ready: Future[asyncio.AbstractEventLoop]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set_result(asyncio.get_running_loop())


@pytest.fixture(scope="module")
def endpoint_urls() -> dict[str, str]:
    """Where the gateway finds other services; a module may have its own."""
    return {}


@pytest.fixture(scope="module")
def gateway(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory, endpoint_urls: dict[str, str]
) -> Iterator[RunningGateway]:
    """A gateway for the tests of one module; they use function names of their own."""
    data_dir = tmp_path_factory.mktemp("gateway")
    settings = Settings(
        redis_url=redis_server.url,
        data_dir=data_dir,
        code_store_url=f"file://{data_dir / 'code'}",
        namespace=f"test-{uuid.uuid4().hex[:12]}",
        endpoint_urls=endpoint_urls,
    )
    running = RunningGateway(settings)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def client(gateway: RunningGateway) -> Any:
    """A boto3 Lambda client that tries everything once and leaves all checks to the server."""
    return gateway.client()


@pytest.fixture
def name() -> str:
    """A function name that nothing else uses."""
    return f"f-{uuid.uuid4().hex[:12]}"


def zipped(source: str = "def handler(event, context): return event") -> bytes:
    """A deployment package with one file, app.py."""
    return package({"app.py": source.encode()})


@pytest.fixture
def create(client: Any, name: str) -> Callable[..., dict[str, Any]]:
    """Create the function called `name`; keyword arguments replace the defaults."""

    def create_function(**changes: Any) -> dict[str, Any]:
        request = {
            "FunctionName": name,
            "Runtime": "python3.12",
            "Role": ROLE,
            "Handler": "app.handler",
            "Code": {"ZipFile": zipped()},
            **changes,
        }
        created: dict[str, Any] = client.create_function(
            **{member: value for member, value in request.items() if value is not None}
        )
        return created

    return create_function


Refused = Callable[..., dict[str, Any]]


@pytest.fixture
def refused(client: Any) -> Refused:
    """Call an operation that must fail; returns type, status and message of the error.

    `refused("get_function", FunctionName="x")`.
    """

    def call(operation: str, **request: Any) -> dict[str, Any]:
        with pytest.raises(ClientError) as error:
            getattr(client, operation)(**request)
        response = error.value.response
        return {
            "type": response["Error"]["Code"],
            "status": response["ResponseMetadata"]["HTTPStatusCode"],
            "message": response["Error"]["Message"],
        }

    return call
