"""Runs extensions beside a function's process: starts them, tells of their ends, connects to what they serve.

The host is a fork of the function's process, taken when that is confined already: it has the same user, root,
network and limits. It speaks JSON messages over a line to the worker (SOCK_SEQPACKET). Told: `go` (the
function's process may go on), `connect` (port, number). Tells: `failed` (name, error) and `exited` (name,
code) of an extension; `connected` (number; the socket alongside) or `refused` (number, error).
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from .isolation import Isolation
from .kernel import PR_SET_DUMPABLE

MESSAGE_BYTES = 4096
CONNECT_SECONDS = 1.0
LOOPBACK = "127.0.0.1"
SHOWN_AS = b"/var/rapid/extensions"


@dataclass(frozen=True)
class ExtensionPrograms:
    """`paths` of the programs as the function's process sees them, and the environment they all get."""

    paths: Sequence[str]
    variables: Mapping[str, str]


def start_extensions(isolation: Isolation, programs: ExtensionPrograms, output: int, line: int) -> None:
    """Fork the host and wait until the worker lets this process go on; where the host has ended, end.

    `output` takes what extensions write. This process stays undumpable: extensions have its user and could
    write its memory, while it still holds what is the zygote's. Raises OSError."""
    isolation.kernel.prctl(PR_SET_DUMPABLE, 0)
    readable, writable = os.pipe()
    if _fork_host(isolation):
        _become_host(isolation, programs, output, line, writable)
    for descriptor in (writable, output, line):
        os.close(descriptor)
    if not os.read(readable, 1):
        os._exit(1)
    os.close(readable)


def _fork_host(isolation: Isolation) -> bool:
    """True in the host. In a pid namespace its first process adopts the host: the function has no child that
    it did not start. Elsewhere the zygote would adopt it and take it for a leftover."""
    if isolation.init is None:
        return os.fork() == 0
    between = os.fork()
    if between != 0:
        os.waitpid(between, 0)
        return False
    if os.fork() == 0:
        return True
    os._exit(0)


def _become_host(
    isolation: Isolation, programs: ExtensionPrograms, output: int, line: int, go: int
) -> NoReturn:
    try:
        isolation.kernel.close_all_but([output, line, go])
        isolation.kernel.show_as(SHOWN_AS)
        host = _Host(programs, output, socket.socket(fileno=line), go)
        host.serve()
    finally:
        os._exit(0)


@dataclass
class _Host:
    programs: ExtensionPrograms
    output: int
    line: socket.socket
    go: int
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def serve(self) -> None:
        """Until the worker hangs up."""
        ended = _wake_on_child_exit()
        for path in self.programs.paths:
            self._start(path)
        poller = select.poll()
        poller.register(self.line, select.POLLIN)
        poller.register(ended, select.POLLIN)
        while True:
            for descriptor, _ in poller.poll():
                if descriptor == ended:
                    os.read(ended, 4096)
                    self._bury()
                elif not self._obey():
                    return

    def _start(self, path: str) -> None:
        name = os.path.basename(path)
        try:
            self.running[name] = subprocess.Popen(
                [path],
                env=dict(self.programs.variables),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=self.output,
                stderr=self.output,
            )
        except OSError as error:
            self._tell("failed", name=name, error=os.strerror(error.errno or 0).lower())

    def _bury(self) -> None:
        for name, process in list(self.running.items()):
            code = process.poll()
            if code is not None:
                del self.running[name]
                self._tell("exited", name=name, code=code)

    def _obey(self) -> bool:
        message = self.line.recv(MESSAGE_BYTES)
        if not message:
            return False
        request = json.loads(message)
        if request["request"] == "go":
            os.write(self.go, b"g")
            os.close(self.go)
        else:
            self._connect(request["port"], request["number"])
        return True

    def _connect(self, port: int, number: int) -> None:
        try:
            with socket.create_connection((LOOPBACK, port), CONNECT_SECONDS) as connection:
                message = json.dumps({"event": "connected", "number": number}).encode()
                socket.send_fds(self.line, [message], [connection.fileno()])
        except OSError as error:
            self._tell("refused", number=number, error=str(error))

    def _tell(self, event: str, **members: Any) -> None:
        self.line.send(json.dumps({"event": event, **members}).encode())


def _wake_on_child_exit() -> int:
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    return readable
