"""The worker's end of a zygote: launches it, sends requests with descriptors, hears its events."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from worker.runtimes import python as python_runtime
from worker.sandbox.interface import SandboxUnavailable
from worker.sandbox.interpreters import Interpreter
from worker.sandbox.uid_block import BLOCK_UIDS, UidBlock

START_FILE = Path(python_runtime.__file__).with_name("start.py")
LAUNCH_SECONDS = 20.0
EVENT_BYTES = 65_536

Event = Mapping[str, Any]


class ZygoteConnection:
    """A running zygote. `on_event` gets every event after `ready`; `on_lost` is called once when the
    zygote has died, never after `close`."""

    def __init__(
        self,
        process: subprocess.Popen[bytes] | None,
        control: socket.socket,
        on_event: Callable[[Event], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._process = process
        self._closed = False
        self._control = control
        self._on_event = on_event
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[Event] = self._loop.create_future()
        self._sending = asyncio.Lock()
        self._writing: asyncio.Future[None] | None = None
        self._loop.add_reader(control, self._receive)

    @classmethod
    async def launch(
        cls,
        interpreter: Interpreter,
        block: UidBlock | None,
        configuration: Mapping[str, Any],
        on_event: Callable[[Event], None],
        on_lost: Callable[[], None],
    ) -> tuple[ZygoteConnection, Event]:
        """A zygote and its `ready` event. `configuration` is what the zygote's `main` does not get from the
        other arguments. Raises SandboxUnavailable."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            process = _spawn(interpreter, block, configuration, ours, theirs)
        except OSError as error:
            ours.close()
            raise SandboxUnavailable(f"{interpreter.path} cannot be run: {error}") from error
        finally:
            theirs.close()
        connection = cls(process, ours, on_event, on_lost)
        try:
            async with asyncio.timeout(LAUNCH_SECONDS):
                return connection, await connection._ready
        except BaseException as error:
            await connection.close()
            if isinstance(error, TimeoutError):
                raise SandboxUnavailable(f"the zygote of {interpreter.path} did not start") from error
            raise

    @property
    def pid(self) -> int:
        """The zygote's own pid."""
        return self._process.pid if self._process else 0

    async def send(self, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Hand over one request; in order, waiting while the zygote is behind. Raises ConnectionError."""
        data = json.dumps(request).encode()
        async with self._sending:
            while True:
                if self._control.fileno() < 0:
                    raise ConnectionError("the zygote is gone")
                try:
                    socket.send_fds(self._control, [data], list(descriptors))
                    return
                except BlockingIOError:
                    await self._writable()

    async def close(self) -> None:
        """Let the zygote kill everything it has forked and end; returns when it has. Idempotent."""
        self._forget_control()
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)

    async def _writable(self) -> None:
        self._writing = waiter = self._loop.create_future()
        self._loop.add_writer(self._control, _wake, waiter)
        try:
            await waiter
        finally:
            self._writing = None
            if self._control.fileno() >= 0:
                self._loop.remove_writer(self._control)

    def _receive(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, EVENT_BYTES, 1)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._lost()
            return
        event = json.loads(data)
        for descriptor in descriptors:
            event["pid"] = _pid_behind(descriptor)
            os.close(descriptor)
        if event["event"] not in ("ready", "unavailable"):
            self._on_event(event)
        elif self._ready.done():
            return
        elif event["event"] == "ready":
            self._ready.set_result(event)
        else:
            self._ready.set_exception(SandboxUnavailable(event["text"]))

    def _lost(self) -> None:
        self._forget_control()
        if self._ready.done():
            if not self._closed and not self._ready.cancelled() and self._ready.exception() is None:
                self._on_lost()
        else:
            self._ready.set_exception(SandboxUnavailable("the zygote ended while it started"))

    def _forget_control(self) -> None:
        if self._control.fileno() >= 0:
            self._loop.remove_reader(self._control)
            self._loop.remove_writer(self._control)
            self._control.close()
        if self._writing is not None:
            _wake(self._writing)


def _pid_behind(descriptor: int) -> int:
    """The pid, in our namespace, of the process that a pidfd stands for; 0 where it has ended."""
    with open(f"/proc/self/fdinfo/{descriptor}", "rb", buffering=0) as info:
        _, found, rest = info.read().partition(b"\nPid:")
    return max(0, int(rest.split(maxsplit=1)[0])) if found else 0


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _spawn(
    interpreter: Interpreter,
    block: UidBlock | None,
    configuration: Mapping[str, Any],
    ours: socket.socket,
    theirs: socket.socket,
) -> subprocess.Popen[bytes]:
    descriptors = [theirs.fileno()] + ([block.descriptor] if block else [])
    if configuration["storage_listener"] >= 0:
        descriptors.append(configuration["storage_listener"])
    whole = {
        **configuration,
        "descriptors": descriptors,
        "first_uid": block.first if block else 0,
        "uid_count": BLOCK_UIDS if block else 0,
    }
    ours.send(json.dumps(whole).encode())
    # A session of its own: Ctrl-C in a terminal must reach the worker only, which then drains.
    return subprocess.Popen(
        [
            str(interpreter.path),
            "-I",
            "-S",
            str(START_FILE),
            str(theirs.fileno()),
            str(configuration["scratch"]),
        ],
        stdin=subprocess.DEVNULL,
        pass_fds=descriptors,
        env={"LANG": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"},
        cwd="/",
        start_new_session=True,
    )
