"""The extensions of one environment: started with it, kept in step with its phases, told of its end."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from typing import Literal

from worker.environments.error_documents import exit_cause
from worker.environments.extension_line import ExtensionLine
from worker.environments.interface import EnvironmentSpec, OnOutput, Work
from worker.environments.output_pipe import OutputPipe
from worker.environments.reserved_variables import extension_variables
from worker.runtime_api.extension_session import ExtensionSession, ExtensionsListener
from worker.sandbox.interface import ExtensionPrograms, Locations, SandboxProcess

EndReason = Literal["spindown", "timeout", "failure"]

SHUTDOWN_SECONDS = 2.0
"""For the runtime and external extensions together (AWS's limit)."""

RUNTIME_SECONDS = 0.3
"""Of these, what the runtime may take after SIGTERM."""

INTERNAL_SECONDS = 0.5
"""What a runtime with internal extensions only may take."""


class Extensions:
    """External ones are the programs in `extensions` of the layers; internal ones register themselves."""

    def __init__(self, spec: EnvironmentSpec, on_output: OnOutput, listener: ExtensionsListener) -> None:
        self._spec = spec
        self._names = external_names(spec)
        self.session = ExtensionSession(listener)
        self._line = ExtensionLine(self) if self._names else None
        self._output = OutputPipe(on_output) if self._names else None
        self._ended = asyncio.Event()

    def programs(self, log_stream: str, channel: Mapping[str, str]) -> ExtensionPrograms | None:
        """What the sandbox is to start beside the function; `channel` are variables of its Runtime API."""
        if self._line is None or self._output is None:
            return None

        def variables(seen: Locations) -> Mapping[str, str]:
            return extension_variables(self._spec, log_stream, seen, channel)

        return ExtensionPrograms(self._names, variables, self._output.write_end, self._line.far_end)

    def process_started(self) -> None:
        """The sandbox has its own copies of what `programs` gave it."""
        if self._line is not None and self._output is not None:
            self._line.process_started()
            self._output.process_started()
            self.session.launch(self._names)

    def let_runtime_start(self) -> None:
        """Every external extension has registered."""
        if self._line is not None:
            self._line.let_runtime_start()

    def invoke(self, work: Work) -> None:
        """A run begins."""
        self.session.invoke(work.request_id, work.deadline_ms, work.invoked_arn, work.trace_header)

    def drain_output(self) -> None:
        """Deliver what they wrote before this call."""
        if self._output is not None:
            self._output.drain()

    async def shut_down(
        self, process: SandboxProcess, runtime_gone: asyncio.Event, reason: EndReason
    ) -> None:
        """Let the runtime, then external extensions, end by themselves, within AWS's limits; the caller kills
        who stays."""
        external = self.session.any_external
        deadline = time.time() + (SHUTDOWN_SECONDS if external else INTERNAL_SECONDS)
        process.thaw()
        process.signal(signal.SIGTERM)
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
