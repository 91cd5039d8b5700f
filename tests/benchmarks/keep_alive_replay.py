"""Replays a trace through the worker's own pool and keep-alive policies, by a clock that jumps."""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.invocation_trace import Call, TracedFunction
from tests.unit.worker.manual_environments import ManualEnvironment, ManualFactory
from worker.environments.fleet import Place
from worker.environments.interface import EnvironmentSpec, OnOutput
from worker.environments.keep_alive import KeepAlive
from worker.environments.pool import Pool
from worker.environments.room import PoolLimits
from worker.journal import Journal

REAP_SECONDS = 30.0
_ENDLESS_MB = 10**9


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a policy made of a trace."""

    calls: int
    cold_starts: int
    starts: int
    """Cold ones and those ahead of calls."""
    idle_gb_hours: float
    """Memory of all environments over the time in which they ran nothing."""

    @property
    def cold_percent(self) -> float:
        return 100 * self.cold_starts / self.calls if self.calls else 0.0


class _Fleet:
    """What the replay's environments have in common: the clock, and the memory-time they took."""

    def __init__(self) -> None:
        self.now = 0.0
        self.starts = 0
        self.mb_seconds = 0.0
        self.live: set[_Environment] = set()


class _Environment(ManualEnvironment):
    """Comes up at once, and counts how long it lives."""

    def __init__(self, made_for: EnvironmentSpec, on_gone: Callable[[], None], fleet: _Fleet) -> None:
        super().__init__(made_for, on_gone)
        self.started.set_result(None)
        self._fleet = fleet
        self._since = fleet.now
        fleet.starts += 1
        fleet.live.add(self)

    def freeze(self) -> None:
        """Time that jumps freezes nobody."""

    async def stop(self) -> None:
        await super().stop()
        self.end()

    def end(self) -> None:
        """Its memory-time is counted up to now."""
        if self in self._fleet.live:
            self._fleet.live.discard(self)
            self._fleet.mb_seconds += (self._fleet.now - self._since) * self.spec.memory_mb


class _Factory(ManualFactory):
    def __init__(self, fleet: _Fleet) -> None:
        super().__init__()
        self._fleet = fleet

    def create(
        self, made_for: EnvironmentSpec, on_output: OnOutput, on_gone: Callable[[], None]
    ) -> ManualEnvironment:
        return _Environment(made_for, on_gone, self._fleet)


class Replay:
    """One worker for each policy, with memory for everything; calls fall on them at random."""

    def __init__(self, functions: Sequence[TracedFunction], policies: Sequence[KeepAlive]) -> None:
        self._fleet = _Fleet()
        self._pools = [self._pool(policy) for policy in policies]
        self._functions = functions
        self._specs = [_spec(function) for function in functions]
        self._running: list[tuple[float, int, Place, Pool]] = []
        self._next_reap = REAP_SECONDS
        self._random = random.Random(1)
        self.calls = 0
        self.cold_starts = 0
        self._busy_mb_seconds = 0.0

    async def call(self, call: Call) -> None:
        """Let time pass until the call comes, and begin its run."""
        await self._pass_time(call.at)
        function, pool = self._functions[call.function], self._random.choice(self._pools)
        place = await pool.acquire(function.name, self._specs[call.function])
        self.calls += 1
        self.cold_starts += place.fresh
        place.fresh = False
        self._busy_mb_seconds += function.run_seconds * function.memory_mb
        heapq.heappush(self._running, (call.at + function.run_seconds, self.calls, place, pool))

    async def end(self, at: float) -> Replayed:
        """What it came to."""
        await self._pass_time(at)
        for environment in list(self._fleet.live):
            environment.end()
        idle_mb_seconds = self._fleet.mb_seconds - self._busy_mb_seconds
        return Replayed(self.calls, self.cold_starts, self._fleet.starts, idle_mb_seconds / 1024 / 3600)

    async def _pass_time(self, until: float) -> None:
        """Runs end and idle environments age in their order."""
        while True:
            ends = self._running[0][0] if self._running else math.inf
            if min(ends, self._next_reap) > until:
                self._fleet.now = until
                return
            if ends <= self._next_reap:
                self._fleet.now, _, place, pool = heapq.heappop(self._running)
                pool.release(place)
            else:
                self._fleet.now = self._next_reap
                await self._reap()

    async def _reap(self) -> None:
        self._next_reap += REAP_SECONDS
        for pool in self._pools:
            pool.reap()
        for _ in range(3):
            await asyncio.sleep(0)  # what was stopped and loaded has its turn

    def _pool(self, policy: KeepAlive) -> Pool:
        return Pool(
            _Factory(self._fleet),
            PoolLimits(_ENDLESS_MB, starts=1000),
            lambda spec: Journal(lambda name, stream, text: None, spec.function_name),
            policy,
            lambda: self._fleet.now,
        )


async def replay(
    functions: Sequence[TracedFunction],
    calls: Iterable[Call],
    policies: Sequence[KeepAlive],
    seconds: float,
) -> Replayed:
    """Run a whole trace on a worker for each of the policies."""
    replaying = Replay(functions, policies)
    for call in calls:
        await replaying.call(call)
    return await replaying.end(seconds)


def _spec(function: TracedFunction) -> EnvironmentSpec:
    return EnvironmentSpec(
        function.name, "1", f"arn:{function.name}", "python3.12", "a.b", 60, function.memory_mb, 512, {},
        Path("/"), "r", "g",
    )  # fmt: skip
