"""One child process that is kept running: started, watched, started again, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy.back_off import BackOff
from deploy.parent_death import die_with

LOG_ROTATE_BYTES = 10_000_000

Report = Callable[[str], None]
"""Takes one line for the operator."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run. Output goes to the end of `log_file`; `stop_within_seconds` is its time to drain."""

    name: str
    command: tuple[str, ...]
    log_file: Path
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    stop_within_seconds: float = 10.0
    back_off: BackOff = field(default_factory=BackOff)


class Child:
    """Runs one ChildSpec until it is told to stop. `failures` counts ends in a row that nobody asked for."""

    def __init__(self, spec: ChildSpec, report: Report) -> None:
        self.spec = spec
        self.failures = 0
        self._report = report
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._killed = False

    @property
    def pid(self) -> int | None:
        """Of the running process; None between two lives."""
        return self._process.pid if self._process else None

    async def keep_running(self) -> None:
        """Start it, and again whenever it ends; returns after `stop` or `kill`, when the process is gone."""
        try:
            while not self._stopping.is_set():
                await self._live()
                await self._pause()
        finally:
            self.kill()
            self._stopped.set()

    async def stop(self) -> None:
        """Ask it to end, give it its time to drain, then kill it; returns when it is gone. Idempotent."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.spec.stop_within_seconds):
                await self._stopped.wait()
        except TimeoutError:
            self._report(f"{self.spec.name} did not stop in {self.spec.stop_within_seconds:g} s: killing it")
            self.kill()
            await self._stopped.wait()

    def kill(self) -> None:
        """End it at once, with everything in its process group."""
        self._killed = True
        self._stopping.set()
        self._signal_group(signal.SIGKILL)

    def log_tail(self, lines: int = 5) -> str:
        """The last lines that it wrote, for an error message."""
        with suppress(OSError):
            text = self.spec.log_file.read_bytes()[-8192:].decode(errors="replace").strip()
            return "\n".join(text.splitlines()[-lines:])
        return ""

    async def _live(self) -> None:
        started = time.monotonic()
        try:
            status = await self._run()
            how, said = describe_exit(status), self.log_tail(lines=1) if status > 0 else ""
        except OSError as error:
            how, said = f"could not start ({error})", ""
        if not self._stopping.is_set():
            self.failures = self.spec.back_off.count(self.failures, time.monotonic() - started)
            last_words = f". It said last: {said}" if said else ""
            self._report(f"{self.spec.name} {how}; starting it again{last_words}")

    async def _run(self) -> int:
        self._process = await self._start()
        try:
            if self._stopping.is_set():  # asked to stop while it was being started
                self._signal(signal.SIGKILL if self._killed else signal.SIGTERM)
            return await self._process.wait()
        finally:
            self._signal_group(signal.SIGKILL)  # what it may have left behind
            self._process = None

    async def _start(self) -> asyncio.subprocess.Process:
        rotate(self.spec.log_file)
        with self.spec.log_file.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *self.spec.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.spec.environ,
                start_new_session=True,  # Ctrl-C is ours alone: the order of stopping matters
                preexec_fn=die_with(os.getpid()),
            )

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.spec.back_off.delay(max(1, self.failures))):
                await self._stopping.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


def describe_exit(status: int) -> str:
    """How a process ended, in words, from asyncio's return code."""
    if status >= 0:
        return f"ended with exit status {status}"
    return f"was ended by {signal.Signals(-status).name}"


def rotate(log_file: Path) -> None:
    """Keep a log from growing without end: the old one is set aside once."""
    with suppress(FileNotFoundError):
        if log_file.stat().st_size > LOG_ROTATE_BYTES:
            log_file.replace(log_file.with_suffix(".log.1"))
