"""An execution environment that is a sandboxed process: its lifecycle, time limits and ends."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import time
from collections.abc import Callable, Mapping

from worker.environments import error_documents
from worker.environments.channel import ChannelListener, RuntimeChannel
from worker.environments.error_documents import error_document, exit_cause, exit_message
from worker.environments.extensions import EndReason, Extensions
from worker.environments.interface import (
    EnvironmentSpec,
    Exited,
    ExtensionFailed,
    HandlerFailed,
    InitFailed,
    NotRun,
    OnOutput,
    Rest,
    RunOutcome,
    RunResult,
    Succeeded,
    TimedOut,
    Work,
)
from worker.environments.learned_imports import LearnedImports
from worker.environments.lifecycle import State, move
from worker.environments.output_pipe import OutputPipe
from worker.environments.peak_memory import PeakMemory, high_water_kb
from worker.environments.reserved_variables import process_variables
from worker.environments.rest_phase import RestPhase
from worker.environments.run_limit import RunLimit
from worker.environments.runtime_command import RuntimeCommand
from worker.environments.templates import Templates
from worker.metering import Usage
from worker.runtime_api.listener import RuntimeApiListener
from worker.runtime_api.peer import is_from
from worker.runtime_api.routes import Api
from worker.runtimes.official.interface import OfficialRuntime
from worker.sandbox.interface import (
    FailureKind,
    ProcessSpec,
    Sandbox,
    SandboxProcess,
    StartFailed,
)
from worker.telemetry.subscription import Subscription

logger = logging.getLogger(__name__)

ERROR_TYPES: Mapping[FailureKind, str] = {
    "setup": error_documents.PLATFORM_ERROR,
    "entrypoint": error_documents.INVALID_ENTRYPOINT,
    "working_directory": error_documents.INVALID_WORKING_DIRECTORY,
}

AT_REST = (State.IDLE, State.FROZEN)

INIT_SECONDS = 10.0
"""Lambda's init limit; what goes on longer counts as part of the first invocation there."""

SNAPSHOT_SECONDS = 130.0
"""Lambda's limit for an init whose result is kept."""

RESTORE_SECONDS = 10.0
"""Lambda's limit for the hooks that run in a copy."""

HANG_UP_SECONDS = 1.0
"""How long a process may live on after its runtime hung up."""


class ProcessEnvironment:
    """An Environment; `make_channel` decides which protocol its runtime speaks. `on_end` is called once
    when nothing of it is left. With `templates` it is a copy of one of them; `is_template`: it is one. With
    `imports`, these learn what its init imports."""

    def __init__(
        self,
        spec: EnvironmentSpec,
        log_stream: str,
        sandbox: Sandbox,
        make_channel: Callable[[ChannelListener], RuntimeChannel],
        on_output: OnOutput,
        on_gone: Callable[[], None],
        on_end: Callable[[ProcessEnvironment], None],
        official: OfficialRuntime | None = None,
        templates: Templates | None = None,
        imports: LearnedImports | None = None,
        *,
        is_template: bool = False,
    ) -> None:
        self._spec = spec
        self._imports = imports
        self._learns = False
        self._log_stream = log_stream
        self._sandbox = sandbox
        self._on_output = on_output
        self._on_gone = on_gone
        self._on_end = on_end
        self._official = official
        self._command = RuntimeCommand(spec, official)
        self._templates = templates
        self._is_template = is_template
        self._loop = asyncio.get_running_loop()
        self._state = State.STARTING
        self._extensions = Extensions(spec, on_output, self)
        self._output = OutputPipe(on_output)
        try:
            self._channel = make_channel(self)
        except OSError:
            self._output.close()
            self._extensions.close()
            raise
        if self._extensions.phases is not None:
            self._output.redirect(self._extensions.function_wrote)
        api = Api(self._channel.session, self._extensions.session, spec, self._subscribe, self._admits)
        self._listener = RuntimeApiListener(api, inside=sandbox.own_network)
        self._process: SandboxProcess | None = None
        self._init: asyncio.Future[None] = self._loop.create_future()
        # Whoever cancels `start` does not ask how init ended.
        self._init.add_done_callback(lambda init: init.cancelled() or init.exception())
        self._runtime_ready = False
        self._init_report: bytes | None = None
        self._runtime_gone = asyncio.Event()
        self._answer: asyncio.Future[RunOutcome] | None = None
        self._rest = RestPhase()
        self._extension_failure: ExtensionFailed | None = None
        self._deadline = 0.0
        self._limit = RunLimit(self._run_timed_out)
        self._memory = PeakMemory()
        self._peak_kb = 0
        self._run_us = 0
        self._exited = False
        self._init_duration_ms = 0.0
        self._destroying: asyncio.Task[None] | None = None

    @property
    def state(self) -> State:
        return self._state

    @property
    def spec(self) -> EnvironmentSpec:
        return self._spec

    @property
    def log_stream(self) -> str:
        return self._log_stream

    @property
    def init_duration_ms(self) -> float:
        return self._init_duration_ms

    @property
    def process(self) -> SandboxProcess | None:
        """None before there is one."""
        return self._process

    @property
    def pid(self) -> int:
        """The main process's pid; 0 before there is one."""
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        if self._templates is None:
            await self._start(None)
            return
        try:
            async with self._templates.lend(self._spec, self._on_output) as template:
                await self._start(template)
        except BaseException:
            await self._destroy()
            raise

    async def _start(self, template: SandboxProcess | None) -> None:
        started = time.perf_counter()
        limit = self._init_seconds(template)
        timer = self._loop.call_later(limit, self._init_timed_out, limit)
        try:
            await self._start_process(template)
            await self._init
        except InitFailed as error:
            error.duration_ms = (time.perf_counter() - started) * 1000
            self._extensions.init_ended(error.duration_ms, error.error_type)
            await self._destroy("failure")
            raise
        except BaseException:
            await self._destroy()
            raise
        finally:
            timer.cancel()
        self._init_duration_ms = (time.perf_counter() - started) * 1000
        if self._learns and self._imports is not None and self._init_report is not None:
            self._imports.learn(self._spec, self._init_report, self._init_duration_ms)
        self._extensions.init_ended(self._init_duration_ms)
        if self._process is not None and not self._is_template:
            # What is forked from a template starts in its group: that must not be slow.
            self._process.initialized()
        self._become_idle()

    async def run(self, work: Work) -> RunResult:
        if self._state is State.FROZEN:
            self._thaw()
        self._state = move(self._state, State.BUSY)
        answer: asyncio.Future[RunOutcome] = self._loop.create_future()
        self._answer = answer
        self._deadline = work.deadline_ms / 1000
        self._limit.begin(self._deadline - time.time())
        started = time.perf_counter()
        try:
            if self._extensions.session.any:
                self._extensions.invoke(work)
            self._channel.send(work)
            outcome = await answer
        except BaseException:
            await self._destroy()
            raise
        finally:
            self._limit.end()
        ended = time.perf_counter()
        if isinstance(outcome, Exited):
            self._memory.expire()
            if self._channel.withdraw():
                await self._destroy()
                raise NotRun
        alive = isinstance(outcome, Succeeded | HandlerFailed) and self._destroying is None
        if alive:
            self._output.drain_heard()
        else:
            self._output.drain()
        run_ms, peak_mb = (ended - started) * 1000, self._peak_mb(ended)
        if self._extensions.session.any:
            self._extensions.runtime_done(outcome, run_ms)
            unfinished = self._begin_rest(outcome, alive=alive)
        elif alive:
            self._become_idle()
            unfinished = False
        else:
            await self._destroy()
            unfinished = False
        return RunResult(outcome, run_ms, peak_mb, self._run_us / 1000, unfinished)

    def _begin_rest(self, outcome: RunOutcome, *, alive: bool) -> bool:
        """With extensions the end of a run is not yet the end of its phase; False where it is."""
        if alive and self._extensions.session.quiet:
            self._extensions.drain_output()
            self._become_idle()
            return False
        self._rest.begin()
        if not alive:
            self._begin_destroying("timeout" if isinstance(outcome, TimedOut) else "failure")
        elif self._extension_failure is not None:
            self._end_rest_badly()
        return True

    async def rest(self) -> Rest:
        try:
            extensions_ms, failure = await self._rest.wait(self._deadline, self._extensions_timed_out)
            self._extensions.rested(extensions_ms)
            if self._destroying is not None:
                await self._destroy()
            else:
                self._become_idle()
        except BaseException:
            await self._destroy()
            raise
        return Rest(extensions_ms, failure)

    def report(self, request_id: str, usage: Usage, outcome: RunOutcome) -> None:
        if self._extensions.phases is not None:
            self._extensions.phases.reported(request_id, usage, outcome)

    def freeze(self) -> None:
        if self._state is State.IDLE and self._process is not None:
            self._state = move(self._state, State.FROZEN)
            self._process.freeze()
            if self._extensions.phases is not None:
                self._extensions.phases.telemetry.pause()

    def _thaw(self) -> None:
        if self._process is not None:
            self._process.thaw()
            if self._extensions.phases is not None:
                self._extensions.phases.telemetry.resume()
        self._state = move(self._state, State.IDLE)

    async def stop(self) -> None:
        await self._destroy()

    def runtime_ready(self, report: bytes = b"") -> None:
        self._runtime_ready = True
        self._init_report = report
        if self._extensions.phases is not None:
            self._extensions.phases.runtime_initialized()
        self._extensions.session.close_registration()
        self.extensions_quiet()

    def _subscribe(self, name: str, subscription: Subscription) -> None:
        self._extensions.subscribe(name, subscription)
        self._output.redirect(self._extensions.function_wrote)

    def _admits(self, connection: socket.socket) -> bool:
        """Where each environment has a user of its own, nobody else may speak for this one."""
        process = self._process
        if process is None:
            return False  # it has never started
        if not process.uid or not process.loopback_address:
            return True  # in a network of its own there is nobody else
        return is_from(process.uid, connection)

    def extensions_registered(self) -> None:
        self._extensions.let_runtime_start()

    def extensions_quiet(self) -> None:
        if self._rest.under_way:
            self._rest.end()
        elif self._runtime_ready and self._extensions.session.quiet and not self._init.done():
            self._init.set_result(None)

    def extension_reported(self, error_type: str) -> None:
        self._loop.call_later(HANG_UP_SECONDS, self.extension_failed, error_type, "exit code 0")

    def extension_failed(self, error_type: str, cause: str) -> None:
        if self._state is State.STARTING:
            self._fail_init(error_type, error_document(error_type, cause))
        elif self._state in AT_REST:
            self._die_idle()
        elif self._state is State.BUSY:
            self._extension_failure = ExtensionFailed(error_type, cause)
            self._settle(self._extension_failure)
            self._end_rest_badly()

    def runtime_init_failed(self, error_type: str, document: bytes) -> None:
        self._fail_init(error_type, document)

    def runtime_answered(self, outcome: Succeeded | HandlerFailed, peak_memory_kb: int, run_us: int) -> None:
        self._peak_kb = peak_memory_kb
        self._run_us = run_us
        self._settle(outcome)

    def runtime_violated(self, reason: str) -> None:
        if self._destroying is not None:
            return
        logger.warning(
            "runtime broke the protocol", extra={"function": self._spec.function_name, "reason": reason}
        )
        self._end_process()

    def runtime_hung_up(self) -> None:
        self._loop.call_later(HANG_UP_SECONDS, self._end_process)

    def _become_idle(self) -> None:
        self._state = move(self._state, State.IDLE)
        if self._exited:
            # Not from here: the owner must first learn that the run is over.
            self._loop.call_soon(self._die_idle)

    def _init_seconds(self, template: SandboxProcess | None) -> float:
        if template is not None:
            return RESTORE_SECONDS
        return max(SNAPSHOT_SECONDS if self._is_template else INIT_SECONDS, float(self._spec.timeout_seconds))

    async def _start_process(self, template: SandboxProcess | None) -> None:
        self._channel.open()
        channel_variables = self._listener.open()
        imports = self._imports.known(self._spec) if self._imports is not None else None
        self._learns = self._imports is not None and imports is None
        spec = ProcessSpec(
            runtime=self._spec.runtime,
            handler=self._spec.handler,
            task_root=self._spec.task_root,
            memory_mb=self._spec.memory_mb,
            ephemeral_storage_mb=self._spec.ephemeral_storage_mb,
            variables=lambda seen: process_variables(self._spec, self._log_stream, seen, channel_variables),
            output=self._output.write_end,
            channel=self._channel.function_end,
            api_line=self._listener.api_line,
            layers=self._spec.layers,
            command=self._command.seen_at,
            image=self._spec.image.root if self._spec.image else None,
            working_directory=self._spec.image.working_directory if self._spec.image else "",
            runtime_directory=self._official.directory if self._official else None,
            extensions=self._extensions.programs(self._log_stream, channel_variables),
            own_loopback=self._command.wrapped or self._extensions.any_external,
            is_template=self._is_template,
            copy_of=template,
            generic=self._command.generic,
            learns=self._learns,
            imports=imports,
        )
        try:
            self._process = await self._sandbox.start(spec, self._process_exited, self._process_failed)
            if self._process.output >= 0:
                self._output.read_instead(self._process.output)
        except StartFailed as error:
            self._process_failed(error)
        self._output.process_started()
        self._channel.process_started()
        self._listener.process_started()
        self._extensions.process_started(self._process)
        if self._destroying is not None and self._process is not None:
            await self._process.kill()

    def _process_failed(self, failure: StartFailed) -> None:
        error_type = ERROR_TYPES[failure.kind]
        self._fail_init(error_type, error_document(error_type, str(failure)))

    def _process_exited(self, code: int) -> None:
        self._exited = True
        self._runtime_gone.set()
        self._channel.drain()
        cause = exit_cause(code)
        if not self._init.done():
            document = error_document(error_documents.EXIT_ERROR, exit_message(cause))
            self._fail_init(error_documents.EXIT_ERROR, document)
        elif self._state is State.BUSY:
            self._settle(Exited(cause))
            self._end_rest_badly()
        elif self._state in AT_REST:
            self._die_idle()

    def _die_idle(self) -> None:
        if self._state in AT_REST:
            self._begin_destroying()
            self._on_gone()

    def _init_timed_out(self, limit: float) -> None:
        document = error_document(error_documents.TIMED_OUT, f"Task timed out after {limit:.2f} seconds")
        self._fail_init(error_documents.TIMED_OUT, document)

    def _run_timed_out(self) -> None:
        self._settle(TimedOut(self._spec.timeout_seconds))

    def _extensions_timed_out(self) -> None:
        if self._destroying is None:
            self._begin_destroying("timeout")
            self._rest.end(TimedOut(self._spec.timeout_seconds))

    def _end_rest_badly(self) -> None:
        if self._rest.under_way:
            self._begin_destroying("failure")
            self._rest.end(self._extension_failure)

    def _fail_init(self, error_type: str, document: bytes) -> None:
        if not self._init.done():
            self._init.set_exception(InitFailed(error_type, document, 0.0))

    def _settle(self, outcome: RunOutcome) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(outcome)

    def _end_process(self) -> None:
        """Kill it; its exit then ends what was under way."""
        if self._state in (State.STOPPING, State.GONE):
            return
        if self._state in AT_REST:
            self._die_idle()
        else:
            self._begin_destroying("failure")

    def _peak_mb(self, now: float) -> int:
        peak_kb = max(self._peak_kb, self._memory.kb(self._measured_kb, now))
        return min(math.ceil(peak_kb / 1024), self._spec.memory_mb)

    def _measured_kb(self) -> int:
        """All its processes together where somebody counts; the main one where its runtime does not tell."""
        if self._process is None:
            return 0
        of_main = 0 if self._peak_kb else high_water_kb(self._process.pid)
        return max(of_main, self._process.peak_memory_kb())

    def _begin_destroying(self, reason: EndReason = "spindown") -> asyncio.Task[None]:
        if self._destroying is None:
            self._state = move(self._state, State.STOPPING)
            self._destroying = asyncio.create_task(self._destroy_all(reason), name="destroy environment")
        return self._destroying

    async def _destroy(self, reason: EndReason = "spindown") -> None:
        await asyncio.shield(self._begin_destroying(reason))

    async def _destroy_all(self, reason: EndReason) -> None:
        # The channel last: a runtime that sees it close would complain in the function's log.
        if self._process is not None:
            if self._extensions.session.any:
                await self._extensions.shut_down(self._process, self._runtime_gone, reason)
            await self._process.kill()
        self._channel.close()
        self._listener.close()
        self._extensions.close()
        exit_document = error_document(error_documents.EXIT_ERROR, exit_message("signal: killed"))
        self._fail_init(error_documents.EXIT_ERROR, exit_document)
        self._settle(Exited("signal: killed"))
        self._rest.end()
        self._limit.close()
        self._output.drain()
        self._output.close()
        self._state = move(self._state, State.GONE)
        self._on_end(self)
