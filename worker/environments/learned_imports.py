"""Learns what functions import at init, so that their next environments are forked with it done.

The first environment of a function tells what modules of the runtime itself its init imported. That is not
trusted: they are imported once more in an environment of nobody's, which says what they cost, and whether
forks of a process with them would be like one that imported them itself (`runtimes/python/import_trial`). If
it is worth it, the sandbox keeps a process that has imported them. All of it happens beside the starts; none
waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from worker.environments.interface import (
    EnvironmentSpec,
    InitFailed,
    NotRun,
    OnOutput,
    RunResult,
    Succeeded,
    Work,
)
from worker.runtimes.python import import_trial
from worker.sandbox.import_sets import (
    WORTH_SECONDS,
    FunctionImports,
    ImportSet,
    is_worth_it,
    read_report,
)

log = logging.getLogger(__name__)

TRIAL = Path(import_trial.__file__).with_name("tried")
TRIAL_SECONDS = 10
TRIAL_MEMORY_MB = 1769
"""With less, the trial would have less than a processor."""
MOST_FUNCTIONS = 4096
MOST_TRIALS = 256
"""Outcomes that are remembered, the latest ones."""
MOST_WAITING = 16
NOTHING = FunctionImports(frozenset(), frozenset())


class KeepsImports(Protocol):
    """What of a sandbox is needed here."""

    @property
    def import_sets(self) -> Sequence[ImportSet] | None: ...

    async def import_ahead(self, found: ImportSet) -> bool: ...


class TrialEnvironment(Protocol):
    """What of an environment a trial needs."""

    async def start(self) -> None: ...

    async def run(self, work: Work) -> RunResult: ...

    async def stop(self) -> None: ...


MakeEnvironment = Callable[[EnvironmentSpec, OnOutput, Callable[[], None]], TrialEnvironment]

Key = tuple[object, ...]


class _Told(msgspec.Struct):
    """What a trial answers."""

    seconds: float
    kilobytes: int
    came: list[str]
    read: dict[str, str | None]
    problems: list[str]


_decode = msgspec.json.Decoder(_Told).decode


class LearnedImports:
    """Of one worker. `make` makes environments for trials."""

    def __init__(self, sandbox: KeepsImports, make: MakeEnvironment) -> None:
        self._sandbox = sandbox
        self._make = make
        self._functions: dict[Key, FunctionImports] = {}
        self._trials: dict[tuple[str, frozenset[str]], ImportSet | None] = {}
        self._one_by_one = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def known(self, spec: EnvironmentSpec) -> FunctionImports | None:
        """What it imports; None as long as that is to be learned. A process for it that has gone is made
        again."""
        if self._sandbox.import_sets is None:
            return NOTHING
        function = self._functions.get(_key(spec))
        if function is None:
            return None
        found = self._trials.get((spec.runtime, function.modules))
        if found is not None and found not in self._sandbox.import_sets:
            self._schedule(spec, function)
        return function

    def learn(self, spec: EnvironmentSpec, report: bytes, init_ms: float) -> None:
        """An environment is initialised, and has told `report`."""
        function = (read_report(report) if report else None) or NOTHING
        self._functions[_key(spec)] = function
        while len(self._functions) > MOST_FUNCTIONS:
            del self._functions[next(iter(self._functions))]
        if function.modules and init_ms / 1000 >= WORTH_SECONDS:
            self._schedule(spec, function)

    async def close(self) -> None:
        """End what is under way. The environments belong to the factory."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _schedule(self, spec: EnvironmentSpec, function: FunctionImports) -> None:
        if len(self._tasks) < MOST_WAITING:
            task = asyncio.create_task(self._keep(spec, function), name="learn imports")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _keep(self, spec: EnvironmentSpec, function: FunctionImports) -> None:
        async with self._one_by_one:
            try:
                found = await self._tried(spec, function)
                present = self._sandbox.import_sets or ()
                if found is not None and found not in present and is_worth_it(found, present):
                    await self._sandbox.import_ahead(found)
            except (InitFailed, NotRun, OSError) as error:
                log.warning("imports_not_tried: %s", error)

    async def _tried(self, spec: EnvironmentSpec, function: FunctionImports) -> ImportSet | None:
        """None where it must not be imported ahead."""
        key = spec.runtime, function.modules
        if key not in self._trials:
            self._trials[key] = await self._try_out(spec, sorted(function.modules))
            while len(self._trials) > MOST_TRIALS:
                del self._trials[next(iter(self._trials))]
        return self._trials[key]

    async def _try_out(self, spec: EnvironmentSpec, modules: list[str]) -> ImportSet | None:
        output = bytearray()
        environment = self._make(_trial_spec(spec), output.extend, lambda: None)
        try:
            await environment.start()
            outcome = (await environment.run(_trial_work(modules))).outcome
        finally:
            await environment.stop()
        if not isinstance(outcome, Succeeded):
            log.info("imports_refused", extra={"problems": [type(outcome).__name__]})
            return None
        told = _decode(outcome.payload)
        problems = told.problems + (["writes something"] if output else [])
        beyond = sorted(set(told.came) - set(modules))
        if beyond:
            # The function's init took these from elsewhere, or did without.
            problems.append("brings along " + ", ".join(beyond[:3]))
        if problems:
            log.info("imports_refused", extra={"problems": problems[:10]})
            return None
        read = tuple(sorted(told.read.items()))
        version = spec.runtime.removeprefix("python")
        return ImportSet(version, tuple(sorted(told.came)), read, told.seconds, told.kilobytes)


def _key(spec: EnvironmentSpec) -> Key:
    """Functions that are alike in this import the same at init."""
    variables = tuple(sorted(spec.variables.items()))
    return spec.runtime, spec.handler, spec.task_root, spec.layers, variables


def _trial_spec(spec: EnvironmentSpec) -> EnvironmentSpec:
    return EnvironmentSpec(
        function_name="import-trial",
        version="$LATEST",
        function_arn=spec.function_arn.rpartition(":")[0] + ":import-trial",
        runtime=spec.runtime,
        handler="import_trial.handler",
        timeout_seconds=TRIAL_SECONDS,
        memory_mb=TRIAL_MEMORY_MB,
        ephemeral_storage_mb=512,
        variables={},
        task_root=TRIAL,
        region=spec.region,
        log_group="/aws/lambda/import-trial",
    )


def _trial_work(modules: list[str]) -> Work:
    return Work(
        request_id="import-trial",
        payload=msgspec.json.encode({"modules": modules}),
        deadline_ms=int((time.time() + TRIAL_SECONDS) * 1000),
        invoked_arn="",
    )
