"""What a sandbox level is: it turns a `ProcessSpec` into an isolated process and can kill all of it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from worker.sandbox.generic_process import GenericProcess
from worker.sandbox.import_sets import FunctionImports, ImportSet
from worker.sandbox.levels import Level


@dataclass(frozen=True, slots=True)
class Locations:
    """Where a function's process sees its code, the runtime's library and its own scratch directory."""

    task_root: str
    library: str
    """The runtime's directory, /var/runtime where it can be mounted. Empty where there is none."""
    scratch: str
    layers: str = ""
    """What lies at /opt on Lambda. Empty where there is nothing."""
    interpreter: str = ""
    """The Python that belongs to the process's zygote."""
    runtime_api: str = ""
    """`host:port` of the Runtime API where the sandbox binds it (`api_line`)."""


def bootstrap(locations: Locations) -> Sequence[str]:
    """The command of a package that brings its own runtime."""
    return [f"{locations.task_root}/bootstrap"]


@dataclass(frozen=True, slots=True)
class ExtensionPrograms:
    """Programs that run beside a process, in its sandbox: the files `names` in `extensions` below its layers.

    They are started first. The process itself goes on when the worker says so over `line`, the far end of a
    socket pair (SOCK_SEQPACKET; `inside/extension_host` has the messages). `output` is the write end of a
    pipe for what they write. `variables` is called with the process's view of its directories.
    """

    names: Sequence[str]
    variables: Callable[[Locations], Mapping[str, str]]
    output: int
    line: socket.socket


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A process to start.

    `output` is the write end of a pipe for stdout and stderr. `channel` is the function's end of a stream
    socket pair: with it the sandbox forks a Python runtime that serves `handler`; without it, it executes
    `command`. `api_line` is the far end of a socket pair: with it the sandbox listens at
    `Locations.runtime_api` where the process can reach it and sends the listener over it (SCM_RIGHTS).
    The caller closes all of them afterwards. `variables` and `command` are called with the process's view of
    its directories; `variables` gives its whole environment.

    `image` is the root file system of a container image, which the process sees, read-only, in place of this
    machine's programs, `task_root`, layers and library; it needs a level with namespaces. A program without
    a slash is looked for in the process's PATH then, and it starts in `working_directory`.

    `own_loopback`: what its processes bind to loopback shall meet nobody else's, where that is possible.
    `layers` is a directory to be seen, read-only, at /opt; `runtime_directory` one at /var/runtime (the
    sandbox's library unless another is given).

    Where the sandbox `copies`: a process that `is_template` serves nothing once it is ready, but is there to
    be forked; `copy_of` is such a process of the same function, and the new one goes on from there.

    `learns`: with a `channel`, its runtime tells there, when it is ready, what init imported (`import_sets`);
    `imports`: what it told before, so that it may be forked with some of it done.

    `generic`: a pre-warmed process of this kind may become it; `waits`: it is such a process itself, for
    whatever function.
    """

    runtime: str
    handler: str
    task_root: Path
    memory_mb: int
    ephemeral_storage_mb: int
    variables: Callable[[Locations], Mapping[str, str]]
    output: int
    channel: socket.socket | None
    api_line: socket.socket | None = None
    command: Callable[[Locations], Sequence[str]] = bootstrap
    layers: Path | None = None
    runtime_directory: Path | None = None
    image: Path | None = None
    working_directory: str = "/"
    extensions: ExtensionPrograms | None = None
    own_loopback: bool = False
    is_template: bool = False
    copy_of: SandboxProcess | None = None
    generic: GenericProcess | None = None
    waits: bool = False
    learns: bool = False
    imports: FunctionImports | None = None


FailureKind = Literal["setup", "entrypoint", "working_directory"]


class StartFailed(Exception):
    """The process could not become the function's: `setup` blames this machine, `entrypoint` the function's
    bootstrap or its image's program, `working_directory` the directory that the image says."""

    def __init__(self, kind: FailureKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class SandboxProcess(Protocol):
    """A process and everything it has started."""

    @property
    def pid(self) -> int:
        """Its pid as the worker sees it; 0 until it has been forked."""

    @property
    def output(self) -> int:
        """The read end of the pipe for its stdout and stderr where that is not the spec's: it was pre-warmed.
        The caller owns it. -1: the spec's."""

    @property
    def uid(self) -> int:
        """Of its processes; 0 where they have the worker's."""

    @property
    def loopback_address(self) -> str:
        """Where the worker reaches what it binds to loopback; empty in a network of its own."""

    def initialized(self) -> None:
        """Init is over: from now on the processor's limit holds, as on Lambda."""

    def signal(self, number: int) -> None:
        """Send a signal to the process alone. Does nothing where it has ended."""

    def freeze(self) -> None:
        """Stop all of it until `thaw`. Does nothing where it has ended. Idempotent."""

    def thaw(self) -> None:
        """Let it go on. Idempotent."""

    def peak_memory_kb(self) -> int:
        """The most memory that all of it together had; 0 where nobody counts."""

    async def kill(self) -> None:
        """SIGKILL to all of it; returns when nothing is left. Idempotent; cancelling goes on killing."""


OnExit = Callable[[int], None]
"""Called once, on the loop, when the main process has ended by itself or was killed: its exit status, or
the negative signal number."""

OnFailure = Callable[[StartFailed], None]
"""Called, on the loop, instead of running the function."""


class Sandbox(Protocol):
    """One way of isolating processes."""

    @property
    def level(self) -> Level:
        """The level it works at; known after `open`."""

    @property
    def own_network(self) -> bool:
        """Processes cannot reach this machine's loopback: the sandbox binds the Runtime API (`api_line`)."""

    @property
    def copies(self) -> bool:
        """It can make templates and copies of them; known after `open`."""

    def runtimes(self) -> tuple[str, ...]:
        """Identifiers that this machine can run."""

    def problems(self) -> tuple[str, ...]:
        """What is weaker on this machine than it should be, one sentence each with what to do."""

    async def open(self) -> None:
        """Start what is shared. Raises SandboxUnavailable."""

    async def start(self, spec: ProcessSpec, on_exit: OnExit, on_failure: OnFailure) -> SandboxProcess:
        """Ask for a process; returns once it has been asked for. Raises StartFailed."""

    @property
    def import_sets(self) -> Sequence[ImportSet] | None:
        """What Python functions can be forked with at present; None where nothing is imported ahead by what
        was learned."""

    async def import_ahead(self, found: ImportSet) -> bool:
        """Keep a process that has imported it, if there is room; whether there is one."""

    def shed(self) -> None:
        """End pre-warmed processes that wait; they are made again when functions start."""

    async def close(self) -> None:
        """Kill every process that is left and stop what is shared. Idempotent."""


class SandboxUnavailable(Exception):
    """This sandbox cannot work on this machine."""
