"""Environments whose starts a test finishes by hand, and a pool of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from worker.environments.interface import (
    EnvironmentSpec,
    OnOutput,
    Rest,
    RunOutcome,
    RunResult,
    Succeeded,
    Work,
)
from worker.environments.lifecycle import State, move
from worker.metering import Usage


def spec(function_name: str = "f", memory_mb: int = 128) -> EnvironmentSpec:
    return EnvironmentSpec(
        function_name,
        "$LATEST",
        f"arn:{function_name}",
        "python3.11",
        "a.b",
        3,
        memory_mb,
        512,
        {},
        Path("/"),
        "r",
        "g",
    )


class ManualEnvironment:
    """An environment whose start the test finishes by hand."""

    def __init__(self, made_for: EnvironmentSpec, on_gone: Callable[[], None]) -> None:
        self.spec = made_for
        self.state = State.STARTING
        self.log_stream = "stream"
        self.init_duration_ms = 1.0
        self.on_gone = on_gone
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stopped = False

    async def start(self) -> None:
        await self.started
        self.state = move(self.state, State.IDLE)

    async def run(self, work: Work) -> RunResult:
        return RunResult(Succeeded(work.payload), 1.0, 30)

    async def rest(self) -> Rest:
        return Rest(0.0)

    def report(self, request_id: str, usage: Usage, outcome: RunOutcome) -> None:
        """Nobody wants to know."""

    def freeze(self) -> None:
        if self.state is State.IDLE:
            self.state = move(self.state, State.FROZEN)

    def is_frozen(self) -> bool:
        return self.state is State.FROZEN

    async def stop(self) -> None:
        self.stopped = True
        self.state = State.GONE


class ManualFactory:
    def __init__(self) -> None:
        self.made: list[ManualEnvironment] = []
        self.exhausted = False
        self.has_shed = False
        self.has_reaped = False

    def runtimes(self) -> tuple[str, ...]:
        return ()

    async def open(self) -> None: ...

    def reap(self) -> None:
        self.has_reaped = True

    def shed(self) -> None:
        self.has_shed = True

    async def close(self) -> None: ...

    def create(
        self, made_for: EnvironmentSpec, on_output: OnOutput, on_gone: Callable[[], None]
    ) -> ManualEnvironment:
        if self.exhausted:
            raise OSError("too many open files")
        self.made.append(ManualEnvironment(made_for, on_gone))
        return self.made[-1]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
