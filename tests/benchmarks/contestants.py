"""Everything that a run measures: our system, its callers, and the peers, started when first needed."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from deploy.credentials import Credentials
from deploy.endpoint import Endpoint
from tests.benchmarks.client_process import ClientProcess
from tests.benchmarks.load.callers import GENERATOR, Callers
from tests.benchmarks.load.calls import Call, invoke
from tests.benchmarks.measurements import Round
from tests.benchmarks.packages import awslambdaric_package, python_package
from tests.benchmarks.payloads import encode, event
from tests.benchmarks.peers.workers import PeerSystem, start_celery, start_dramatiq
from tests.live_system import LiveSystem

DISTINCT_PAYLOADS = 256
WHOLE_PROCESSOR_MB = 1769


class Contestants:
    """Owns the processes of a run; leaving the `ExitStack` that was given ends them all.

    The peers use the very Redis server that our system started, each in a database of its own.
    """

    def __init__(self, scratch: Path, stack: ExitStack) -> None:
        self._scratch = scratch
        self._stack = stack
        self._generator = stack.enter_context(ClientProcess(GENERATOR))
        self._peers: tuple[PeerSystem, PeerSystem] | None = None
        self._crowded: System | None = None
        self.main = self._start("main")

    def _start(self, name: str, *arguments: str) -> System:
        system = self._stack.enter_context(LiveSystem(self._scratch / name, arguments))
        return System(system, Callers(self._generator, system.endpoint, self._scratch))

    @property
    def crowded(self) -> System:
        """A second system of ours, for the scenarios that fill it up."""
        if self._crowded is None:
            self._crowded = self._start("crowded")
        return self._crowded

    def start_fresh(self, name: str, *arguments: str) -> System:
        """One more system of ours, of which nothing has been asked yet; `arguments` are those of `up`."""
        return self._start(name, *arguments)

    def peers(self) -> tuple[PeerSystem, PeerSystem]:
        """Celery and Dramatiq, running."""
        if self._peers is None:
            socket = self.main.live.redis_socket
            self._peers = (
                self._stack.enter_context(start_celery(socket, self._scratch)),
                self._stack.enter_context(start_dramatiq(socket, self._scratch)),
            )
            for peer in self._peers:
                peer.wait_until_ready()
        return self._peers


class System:
    """One Lightswitch with its callers; deploys the benchmark's functions once."""

    def __init__(self, live: LiveSystem, callers: Callers) -> None:
        self.live = live
        self.callers = callers
        self._deployed: set[str] = set()

    def deploy_many(self, names: Iterable[str], package: bytes, **more: Any) -> None:
        """Create several functions, a few at a time; `more` goes to `LiveSystem.deploy`."""
        with ThreadPoolExecutor(8) as pool:
            for deployed in [pool.submit(self.live.deploy, name, package, **more) for name in names]:
                deployed.result()

    def need_echo(self) -> str:
        """Name of the echo on the built-in Python runtime."""
        return self._need("echo", "echo", runtime="python3.11")

    def need_awslambdaric_echo(self) -> str:
        """Name of the same echo under the official runtime client."""
        return self._need("echo-awslambdaric", "echo", runtime="provided.al2023")

    def need_sleeper(self) -> str:
        return self._need("sleeper", "sleeper", runtime="python3.11")

    def need_url_echo(self) -> str:
        """A public function URL whose function answers with the body that it got."""
        name = self._need("url-echo", "url_echo", runtime="python3.11")
        client = self.live.client
        client.add_permission(
            FunctionName=name,
            StatementId="public",
            Action="lambda:InvokeFunctionUrl",
            Principal="*",
            FunctionUrlAuthType="NONE",
        )
        url: str = client.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
        return url

    def need_route_echo(self) -> str:
        """A route of the HTTP API whose function answers with the body that it got; its address."""
        name = self._need("route-echo", "url_echo", runtime="python3.11")
        keys = Credentials(self.live.endpoint.access_key, self.live.endpoint.secret_key)
        settings = {"route": "POST /bench/echo/{id}"}
        document = {"kind": "route", "function": name, "settings": settings}
        Endpoint(self.live.url, self.live.endpoint.region, keys).send("POST", "/triggers", document)
        return f"{self.live.url}/bench/echo/7"

    def _need(self, name: str, source: str, *, runtime: str) -> str:
        if name not in self._deployed:
            provided = runtime.startswith("provided")
            package = awslambdaric_package(source) if provided else python_package(source)
            # With less memory than a whole processor's, echoes are slowed down as on Lambda.
            memory_mb = WHOLE_PROCESSOR_MB if source == "echo" else 128
            self.live.deploy(name, package, runtime=runtime, timeout_seconds=900, MemorySize=memory_mb)
            self._deployed.add(name)
        return name

    def echo_calls(self, function: str, *, kind: str = "RequestResponse") -> list[Call]:
        """Freshly signed calls of an echo, every one with a payload of its own."""
        endpoint = self.callers.endpoint
        payloads = [encode(event(number)) for number in range(DISTINCT_PAYLOADS)]
        return [invoke(endpoint, function, payload, kind=kind) for payload in payloads]

    def load_echo(self, function: str, connections: int, seconds: float, *, warm_seconds: float) -> Round:
        """A round of warm request and reply."""
        calls = self.echo_calls(function)
        return self.callers.load(calls, connections, seconds, warm_seconds=warm_seconds)
