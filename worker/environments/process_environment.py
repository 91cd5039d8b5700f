"""An execution environment that is a sandboxed process: its lifecycle, time limits and ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from worker.environments.channel import ChannelListener, RuntimeChannel
from worker.environments.error_documents import error_document, exit_cause
from worker.environments.extensions import EndReason
from worker.environments.init_phase import InitPhase, init_seconds
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
from worker.environments.peak_memory import PeakMemory
from worker.environments.process_lines import ProcessLines
from worker.environments.process_request import ProcessRequest
from worker.environments.rest_phase import RestPhase
from worker.environments.run_limit import RunLimit
from worker.environments.templates import Templates
from worker.metering import Usage
from worker.runtimes.official.interface import OfficialRuntime
from worker.sandbox.interface import (
    Sandbox,
    SandboxProcess,
    StartFailed,
)

logger = logging.getLogger(__name__)

KILLED = "signal: killed"
AT_REST = (State.IDLE, State.FROZEN)

LIMITED_AFTER_SECONDS = 0.002
"""So long after init its processor's limit is set."""

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
        self._request = ProcessRequest(spec, log_stream, official, is_template=is_template)
        self._templates = templates
        self._is_template = is_template
        self._loop = asyncio.get_running_loop()
        self._state = State.STARTING
        self._lines = ProcessLines(spec, self, make_channel, on_output, own_network=sandbox.own_network)
        self._extensions = self._lines.extensions
        self._output = self._lines.output
        self._channel = self._lines.channel
        self._process: SandboxProcess | None = None
        self._init = InitPhase()
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
        return self._init.duration_ms

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
        limit_seconds = init_seconds(
            self._spec.timeout_seconds, is_template=self._is_template, is_copy=template is not None
        )
        try:
            with self._init.timed(limit_seconds):
                await self._start_process(template)
                await self._init.ended()
        except InitFailed as error:
            error.duration_ms = self._init.duration_ms
            self._extensions.init_ended(error.duration_ms, error.error_type)
            await self._destroy("failure")
            raise
        except BaseException:
            await self._destroy()
            raise
        if self._learns and self._imports is not None and self._init_report is not None:
            self._imports.learn(self._spec, self._init_report, self._init.duration_ms)
        self._extensions.init_ended(self._init.duration_ms)
        if self._process is not None and not self._is_template:
            # What is forked from a template starts in its group: that must not be slow. And whoever waits for
            # the first run is not to wait for this as well.
            self._loop.call_later(LIMITED_AFTER_SECONDS, self._process.initialized)
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
        run_ms = (ended - started) * 1000
        peak_mb = min(self._memory.mb(self._process, self._peak_kb, ended), self._spec.memory_mb)
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

    def extensions_registered(self) -> None:
        self._extensions.let_runtime_start()

    def extensions_quiet(self) -> None:
        if self._rest.under_way:
            self._rest.end()
        elif self._runtime_ready and self._extensions.session.quiet:
            self._init.succeed()

    def extension_reported(self, error_type: str) -> None:
        self._loop.call_later(HANG_UP_SECONDS, self.extension_failed, error_type, "exit code 0")

    def extension_failed(self, error_type: str, cause: str) -> None:
        if self._state is State.STARTING:
            self._init.fail(error_type, error_document(error_type, cause))
        elif self._state in AT_REST:
            self._die_idle()
        elif self._state is State.BUSY:
            self._extension_failure = ExtensionFailed(error_type, cause)
            self._settle(self._extension_failure)
            self._end_rest_badly()

    def runtime_init_failed(self, error_type: str, document: bytes) -> None:
        self._init.fail(error_type, document)

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

    async def _start_process(self, template: SandboxProcess | None) -> None:
        channel_variables = self._lines.open()
        imports = self._imports.known(self._spec) if self._imports is not None else None
        self._learns = self._imports is not None and imports is None
        spec = self._request.over(self._lines, channel_variables, template, imports, learns=self._learns)
        try:
            self._process = await self._sandbox.start(spec, self._process_exited, self._init.not_started)
        except StartFailed as error:
            self._init.not_started(error)
        self._lines.process_started(self._process)
        if self._destroying is not None and self._process is not None:
            await self._process.kill()

    def _process_exited(self, code: int) -> None:
        self._exited = True
        self._runtime_gone.set()
        self._channel.drain()
        cause = exit_cause(code)
        if not self._init.is_over:
            self._init.process_exited(cause)
        elif self._state is State.BUSY:
            self._settle(Exited(cause))
            self._end_rest_badly()
        elif self._state in AT_REST:
            self._die_idle()

    def _die_idle(self) -> None:
        if self._state in AT_REST:
            self._begin_destroying()
            self._on_gone()

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
        self._lines.hang_up()
        self._init.process_exited(KILLED)
        self._settle(Exited(KILLED))
        self._rest.end()
        self._limit.close()
        self._output.drain()
        self._output.close()
        self._state = move(self._state, State.GONE)
        self._on_end(self)
