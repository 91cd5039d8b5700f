"""An execution environment as the rest of the worker sees it: start it, run work in it, stop it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from broker.registry.model import LogFormat
from worker.environments.lifecycle import State
from worker.metering import Usage

InitializationType = Literal["on-demand", "provisioned-concurrency"]
"""Why an environment was initialised, as functions read it in AWS_LAMBDA_INITIALIZATION_TYPE."""


@dataclass(frozen=True, slots=True)
class ContainerImage:
    """An image's root file system, unpacked and read-only, and how it is run: the image's own words with the
    function's ImageConfig applied."""

    root: Path
    command: tuple[str, ...]
    working_directory: str
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """All that makes one function version's environments alike.

    `variables` are the function's own (user's variables plus what the operator passes on); the reserved
    `AWS_*` and `LAMBDA_*` ones are added by the environment. `task_root` holds the unpacked code,
    read-only.
    """

    function_name: str
    version: str
    function_arn: str
    """Unqualified."""
    runtime: str
    handler: str
    timeout_seconds: int
    memory_mb: int
    ephemeral_storage_mb: int
    variables: Mapping[str, str]
    task_root: Path
    region: str
    log_group: str
    log_format: LogFormat = "Text"
    application_log_level: str = "INFO"
    system_log_level: str = "INFO"
    """AWS's names of levels; they count with the format JSON."""
    layers: Path | None = None
    """Merged layers, read-only: what the function finds at /opt."""
    snap_start: bool = False
    """Initialised once; every environment is a copy where the sandbox can make copies."""
    image: ContainerImage | None = None
    """What runs instead of `runtime`, `handler` and `task_root`."""
    initialization_type: InitializationType = "on-demand"


class ResponseSink(Protocol):
    """Where a runtime's response goes while it is being written."""

    def begin(self, content_type: str) -> None:
        """The runtime streams; called once, before the first `write`."""

    def write(self, chunk: bytes) -> None:
        """The next bytes, as they came."""

    @property
    def has_room(self) -> bool:
        """False while the reader is too far behind; then ask `when_room`."""

    def when_room(self, resume: Callable[[], None]) -> None:
        """Call once, on the loop, as soon as there is room."""


class Work(msgspec.Struct, frozen=True):
    """One run: what the Runtime API's `next` hands to the runtime."""

    request_id: str
    payload: bytes
    deadline_ms: int
    """Epoch milliseconds at which the function is stopped."""
    invoked_arn: str
    trace_header: str = ""
    client_context: str = ""
    sink: ResponseSink | None = None
    """Takes a streamed response; without it such a response is collected and returned whole."""


class Succeeded(msgspec.Struct, frozen=True):
    """The handler answered; `payload` is its response, as it came; empty where it went to the sink."""

    payload: bytes


class HandlerFailed(msgspec.Struct, frozen=True):
    """The runtime reported an error; `document` is AWS's error JSON. The environment lives on."""

    error_type: str
    document: bytes


class TimedOut(msgspec.Struct, frozen=True):
    """The function ran past its timeout; the environment was destroyed."""

    timeout_seconds: int


class Exited(msgspec.Struct, frozen=True):
    """The runtime process ended in the middle; `cause` as AWS words it, e.g. `exit status 1`,
    `signal: killed`, empty for exit status 0."""

    cause: str


class ExtensionFailed(msgspec.Struct, frozen=True):
    """An extension ended or gave up in the middle; `error_type` and `cause` as AWS words them."""

    error_type: str
    cause: str


RunOutcome = Succeeded | HandlerFailed | TimedOut | Exited | ExtensionFailed


class RunResult(msgspec.Struct, frozen=True):
    """How one run went, measured from handing over the work to the runtime's answer."""

    outcome: RunOutcome
    duration_ms: float
    max_memory_used_mb: int
    own_ms: float = 0.0
    """What the runtime says the run took, without our delays; nobody is billed by it. 0: it does not say."""
    unfinished: bool = False
    """The environment is not free, or not gone, before `rest` has returned."""


class Rest(msgspec.Struct, frozen=True):
    """How long extensions worked after the runtime's answer, and what of them ended the environment."""

    extensions_ms: float
    failure: TimedOut | ExtensionFailed | None = None


class InitFailed(Exception):
    """The environment never became ready. `document` is AWS's error JSON (`requestId` empty)."""

    def __init__(self, error_type: str, document: bytes, duration_ms: float) -> None:
        super().__init__(error_type)
        self.error_type = error_type
        self.document = document
        self.duration_ms = duration_ms


class NotRun(Exception):
    """The environment died before the function got the work; it may run in another one."""


OnOutput = Callable[[bytes], None]
"""Called on the loop with what the function wrote to stdout and stderr, in order, as it comes."""


class Environment(Protocol):
    """One isolated place that runs one function version, one run at a time."""

    @property
    def state(self) -> State: ...

    @property
    def spec(self) -> EnvironmentSpec: ...

    @property
    def log_stream(self) -> str: ...

    @property
    def init_duration_ms(self) -> float:
        """From the start to the runtime's first `next`; with SnapStart, how long it took to restore."""

    async def start(self) -> None:
        """Create the process and wait until the runtime is ready. Raises InitFailed.

        Cancelling destroys what was created."""

    async def run(self, work: Work) -> RunResult:
        """Run once. Only in states IDLE and FROZEN; back to IDLE after Succeeded and HandlerFailed, else
        GONE.

        Everything the function wrote before its answer has reached `on_output` when this returns.
        Cancelling destroys the environment. Raises NotRun when it died while it was idle and nobody had
        noticed yet; it is GONE then.
        """

    async def rest(self) -> Rest:
        """After an `unfinished` run: wait until its extensions have done with it (IDLE afterwards, within the
        run's deadline) or the environment is GONE. Cancelling destroys the environment."""

    def report(self, request_id: str, usage: Usage, outcome: RunOutcome) -> None:
        """Tell extensions what the run that has just ended, with its rest, took and cost."""

    def freeze(self) -> None:
        """Let nothing of it run until the next `run`. Does nothing unless it is IDLE; FROZEN afterwards."""

    async def stop(self) -> None:
        """Destroy it with all its descendants. Idempotent; returns when no process is left."""


class EnvironmentFactory(Protocol):
    """Makes environments; owns what they share (zygotes, listeners)."""

    def runtimes(self) -> tuple[str, ...]:
        """Identifiers this machine can run, e.g. `python3.11`, `provided.al2023`."""

    async def open(self) -> None:
        """Start what is shared."""

    def create(self, spec: EnvironmentSpec, on_output: OnOutput, on_gone: Callable[[], None]) -> Environment:
        """A new environment, not started. `on_gone` is called once if it dies while IDLE."""

    def reap(self) -> None:
        """End what is shared and has not been used for long. Asked every few seconds."""

    def shed(self) -> None:
        """Memory runs short: end what waits for functions that may never come."""

    async def close(self) -> None:
        """Stop what is shared and every environment that is left."""
