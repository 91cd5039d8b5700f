"""The extensions of one environment: started with it, kept in step with its phases, told of its end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Mapping
from typing import Literal

from worker.environments.error_documents import exit_cause
from worker.environments.extension_line import ExtensionLine
from worker.environments.interface import EnvironmentSpec, OnOutput, RunOutcome, Work
from worker.environments.output_pipe import OutputPipe
from worker.environments.reserved_variables import extension_variables
from worker.runtime_api.extension_session import ExtensionSession, ExtensionsListener
from worker.sandbox.interface import ExtensionPrograms, Locations, SandboxProcess
from worker.telemetry.phases import Phases
from worker.telemetry.stream import Telemetry
from worker.telemetry.subscription import InvalidSubscription, Subscription

EndReason = Literal["spindown", "timeout", "failure"]

SHUTDOWN_SECONDS = 2.0
"""For the runtime and external extensions together (AWS's limit)."""

RUNTIME_SECONDS = 0.3
"""Of these, what the runtime may take after SIGTERM."""

INTERNAL_SECONDS = 0.5
"""What a runtime with internal extensions only may take."""


class Extensions:
    """What an environment does for them. External ones are the programs in `extensions` of its layers;
    internal ones register themselves."""

    def __init__(self, spec: EnvironmentSpec, on_output: OnOutput, listener: ExtensionsListener) -> None:
        self._spec = spec
        self._on_output = on_output
        self._loopback_address = ""
        self._names = external_names(spec)
        self.session = ExtensionSession(listener)
        self._line = ExtensionLine(self) if self._names else None
        self._output = OutputPipe(self._wrote) if self._names else None
        self._ended = asyncio.Event()
        self.phases: Phases | None = None
        """What is told of the environment's phases; None while nobody can want to know."""
        self._started = time.time()
        if self._names:
            self._begin_telemetry()

    @property
    def any_external(self) -> bool:
        """There are programs to start."""
        return bool(self._names)

    def programs(self, log_stream: str, channel: Mapping[str, str]) -> ExtensionPrograms | None:
        """What the sandbox is to start beside the function; `channel` are variables of its Runtime API."""
        if self._line is None or self._output is None:
            return None

        def variables(seen: Locations) -> Mapping[str, str]:
            return extension_variables(self._spec, log_stream, seen, channel)

        return ExtensionPrograms(self._names, variables, self._output.write_end, self._line.far_end)

    def process_started(self, process: SandboxProcess | None) -> None:
        """The sandbox has its own copies of what `programs` gave it."""
        if process is not None:
            self._loopback_address = process.loopback_address
        if self._line is not None and self._output is not None:
            self._line.process_started()
            self._output.process_started()
            self.session.launch(self._names)

    def subscribe(self, name: str, subscription: Subscription) -> None:
        """An extension wants telemetry. Raises InvalidSubscription."""
        if not self._loopback_address and self._line is None:
            raise InvalidSubscription(
                "telemetry reaches external extensions only where functions have a network of their own"
            )
        phases = self.phases or self._begin_telemetry()
        phases.telemetry.subscribe(name, subscription)

    def function_wrote(self, text: bytes) -> None:
        """Output of the function's process."""
        self._on_output(text)
        if self.phases is not None:
            self.phases.telemetry.tell_output("function", text)

    def _wrote(self, text: bytes) -> None:
        self._on_output(text)
        if self.phases is not None:
            self.phases.telemetry.tell_output("extension", text)

    def _begin_telemetry(self) -> Phases:
        telemetry = Telemetry(self._connect)
        self.phases = Phases(telemetry, self._spec)
        self.phases.init_started(self._started)
        return self.phases

    async def _connect(self, port: int) -> socket.socket:
        if not self._loopback_address:
            assert self._line is not None
            return await self._line.connect(port)
        connection = socket.socket()
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, (self._loopback_address, port))
        except BaseException:
            connection.close()
            raise
        return connection

    def let_runtime_start(self) -> None:
        """Every external extension has registered."""
        if self._line is not None:
            self._line.let_runtime_start()

    def init_ended(self, duration_ms: float, error_type: str = "") -> None:
        """Note in the log how it went with each; tell subscribers, if there are any."""
        for extension in self.session.extensions:
            self._on_output(extension.log_line.encode())
        if self.phases is not None:
            self.phases.init_ended(duration_ms, self.session.extensions, error_type)
            if not self.phases.telemetry.has_subscribers:
                self.phases = None

    def invoke(self, work: Work) -> None:
        """A run begins."""
        if self.phases is not None:
            self.phases.run_started(work)
        self.session.invoke(work.request_id, work.deadline_ms, work.invoked_arn, work.trace_header)

    def runtime_done(self, outcome: RunOutcome, run_ms: float) -> None:
        """The runtime has answered, or ended."""
        if self.phases is not None:
            self.phases.runtime_done(outcome, run_ms)

    def rested(self, extensions_ms: float) -> None:
        """They have done with a run, so long after its answer."""
        self.drain_output()
        if self.phases is not None:
            self.phases.rested(extensions_ms)

    def drain_output(self) -> None:
        """Deliver what they wrote before this call."""
        if self._output is not None:
            self._output.drain()
        if self.phases is not None:
            self.phases.telemetry.end_lines()

    async def shut_down(
        self, process: SandboxProcess, runtime_gone: asyncio.Event, reason: EndReason
    ) -> None:
        """Let the runtime, then external extensions, end by themselves, within AWS's limits; the caller kills
        who stays."""
        external = self.session.any_external
        deadline = time.time() + (SHUTDOWN_SECONDS if external else INTERNAL_SECONDS)
        process.thaw()
        process.signal(signal.SIGTERM)
        if self.phases is not None:
            await self.phases.telemetry.flush(RUNTIME_SECONDS)
        await _wait(runtime_gone, RUNTIME_SECONDS if external else INTERNAL_SECONDS)
        process.signal(signal.SIGKILL)
        self.session.shut_down(reason, int(deadline * 1000))
        if self.session.shutting_down:
            await _wait(self._ended, deadline - time.time())

    def close(self) -> None:
        """They are gone. Idempotent."""
        if self._line is not None and self._output is not None:
            self._line.close()
            self._output.drain()
            self._output.close()
        if self.phases is not None:
            self.phases.telemetry.close()

    def extension_not_started(self, name: str, error: str) -> None:
        self.session.launch_failed(name, f"/opt/extensions/{name}", error)

    def extension_exited(self, name: str, code: int) -> None:
        self.session.exited(name, exit_cause(code) or "exit code 0")
        if not self.session.shutting_down:
            self._ended.set()


def external_names(spec: EnvironmentSpec) -> list[str]:
    """Every file in /opt/extensions, as on AWS: one that cannot be executed is an error, not passed over."""
    root = spec.layers if spec.image is None else spec.image.root
    if root is None:
        return []
    directory = root / ("extensions" if spec.image is None else "opt/extensions")
    if not directory.resolve().is_relative_to(root.resolve()):
        return []
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in entries if entry.is_file())
    except (FileNotFoundError, NotADirectoryError):
        return []


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
