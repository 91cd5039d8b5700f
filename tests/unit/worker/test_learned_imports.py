"""When a worker learns what a function imports, tries it, and has it kept."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from worker.environments.interface import (
    EnvironmentSpec,
    HandlerFailed,
    InitFailed,
    OnOutput,
    RunOutcome,
    RunResult,
    Succeeded,
    Work,
)
from worker.environments.learned_imports import NOTHING, LearnedImports
from worker.sandbox.import_sets import FunctionImports, ImportSet

SPEC = EnvironmentSpec(
    *("f", "1", "arn:f", "python3.12", "app.handler", 3, 128, 512, {}, Path("/code"), "region", "/log")
)
REPORT = json.dumps({"modules": ["boto3", "six"], "changed": []}).encode()
SLOW_MS = 150.0
FOUND = ImportSet("3.12", ("boto3", "six"), (("HOME", "/tmp"),), 0.08, 9000)


class Keeping:
    """A sandbox that keeps what it is asked to."""

    def __init__(self) -> None:
        self.import_sets: tuple[ImportSet, ...] | None = ()

    async def import_ahead(self, found: ImportSet) -> bool:
        self.import_sets = (*(self.import_sets or ()), found)
        return True


class Trials:
    """What is learned, with environments that answer as they are told to."""

    def __init__(self) -> None:
        self.sandbox: Any = Keeping()
        self.told: dict[str, Any] = {
            "seconds": 0.08,
            "kilobytes": 9000,
            "came": ["boto3", "six"],
            "read": {"HOME": "/tmp"},
            "problems": [],
        }
        self.outcome: RunOutcome | None = None
        self.failure: InitFailed | None = None
        self.output = b""
        self.specs: list[EnvironmentSpec] = []
        self.asked: list[Any] = []
        self.stopped = 0
        self.imports = LearnedImports(self.sandbox, self._make)

    def _make(self, spec: EnvironmentSpec, on_output: OnOutput, on_gone: Any) -> Any:
        self.specs.append(spec)
        self._on_output = on_output
        return self

    async def start(self) -> None:
        if self.failure is not None:
            raise self.failure

    async def run(self, work: Work) -> RunResult:
        self.asked.append(json.loads(work.payload))
        self._on_output(self.output)
        return RunResult(self.outcome or Succeeded(json.dumps(self.told).encode()), 1.0, 1, 1.0)

    async def stop(self) -> None:
        self.stopped += 1

    async def learn(
        self, report: bytes = REPORT, init_ms: float = SLOW_MS, spec: EnvironmentSpec = SPEC
    ) -> None:
        self.imports.learn(spec, report, init_ms)
        await self.settle()

    async def settle(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others)


@pytest.fixture
def trials() -> Trials:
    return Trials()


async def test_a_function_is_unknown_until_it_has_told(trials: Trials) -> None:
    assert trials.imports.known(SPEC) is None

    await trials.learn()

    assert trials.imports.known(SPEC) == FunctionImports(frozenset({"boto3", "six"}), frozenset())


async def test_what_it_tells_is_tried_where_nothing_of_it_runs_and_then_kept(trials: Trials) -> None:
    await trials.learn()

    assert trials.asked == [{"modules": ["boto3", "six"]}]
    assert trials.specs[0].task_root != SPEC.task_root
    assert trials.specs[0].variables == {}
    assert trials.sandbox.import_sets == (FOUND,)
    assert trials.stopped == 1


async def test_the_same_of_another_function_is_not_tried_again(trials: Trials) -> None:
    await trials.learn()
    await trials.learn(spec=replace(SPEC, task_root=Path("/other")))

    assert len(trials.asked) == 1


async def test_other_code_or_variables_are_another_function(trials: Trials) -> None:
    await trials.learn()

    assert trials.imports.known(replace(SPEC, task_root=Path("/other"))) is None
    assert trials.imports.known(replace(SPEC, variables={"MODE": "x"})) is None
    assert trials.imports.known(replace(SPEC, memory_mb=1024)) is not None


@pytest.mark.parametrize("report", [b"", b"garbage", b'{"modules": [], "changed": []}'])
async def test_a_function_that_imports_nothing_is_left_alone(trials: Trials, report: bytes) -> None:
    await trials.learn(report)

    assert trials.imports.known(SPEC) == NOTHING
    assert not trials.specs


async def test_a_function_that_starts_fast_is_left_alone(trials: Trials) -> None:
    await trials.learn(init_ms=19.0)

    assert not trials.specs


@pytest.mark.parametrize(
    "changed",
    [
        {"problems": ["changes threads"]},
        {"came": ["boto3", "six", "urllib3"]},
        {"seconds": 0.019},
    ],
    ids=["problems", "more came", "not worth it"],
)
async def test_what_should_not_be_kept_is_not(trials: Trials, changed: dict[str, Any]) -> None:
    trials.told |= changed

    await trials.learn()

    assert trials.sandbox.import_sets == ()
    assert trials.stopped == 1


async def test_what_writes_to_the_log_is_not_kept(trials: Trials) -> None:
    trials.output = b"The Zen of Python\n"

    await trials.learn()

    assert trials.sandbox.import_sets == ()


async def test_a_trial_that_fails_harms_nobody(trials: Trials) -> None:
    trials.outcome = HandlerFailed("Error", b"{}")
    await trials.learn()
    trials.failure = InitFailed("Runtime.ExitError", b"{}", 1.0)
    await trials.learn(REPORT.replace(b"six", b"csv"), spec=replace(SPEC, version="2"))

    assert trials.sandbox.import_sets == ()
    assert trials.stopped == 2


async def test_what_has_gone_is_kept_again_when_it_is_wanted(trials: Trials) -> None:
    await trials.learn()
    trials.sandbox.import_sets = ()

    trials.imports.known(SPEC)
    await trials.settle()

    assert trials.sandbox.import_sets == (FOUND,)
    assert len(trials.asked) == 1


async def test_a_sandbox_that_keeps_nothing_learns_nothing(trials: Trials) -> None:
    trials.sandbox.import_sets = None

    assert trials.imports.known(SPEC) == NOTHING
