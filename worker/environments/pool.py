"""Which environment runs the next invocation: a warm one, one that is about to be free, or a new one.

Environments of one configuration form a fleet. The most recently used idle one goes first, so that few
stay warm and the rest age out. An invocation that finds none asks for a new one and takes whichever is
free first: the new one, or one that another invocation gives back meanwhile; so a burst of short calls
needs few environments. Capacity is memory: idle environments make room for others, oldest first.

Many more busy processes than processors do not finish short runs sooner; taken in turn, each finds its caches
cold. So where runs of a function may be shorter than a millisecond and enough of its environments are busy,
an invocation waits for one of them, as long as runs go on ending, before it takes, or starts, another.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from worker.environments.interface import Environment, EnvironmentFactory, EnvironmentSpec, InitFailed
from worker.environments.lifecycle import State
from worker.journal import Journal

log = logging.getLogger(__name__)


class NoRoom(Exception):
    """The function's memory setting is larger than all that this worker may give."""


FREEZE_AFTER_SECONDS = 0.1
MOST_FROZEN_AT_ONCE = 20
"""Freezing takes a tenth of a millisecond, in which the worker does nothing else."""

SHORT_RUN_MS = 1.0
PATIENCE_SECONDS = 0.005
"""Without any run ending, those who wait for one wait no longer."""
LONGEST_PATIENCE_SECONDS = 0.25
"""A thousand short runs that a worker took at once end within this."""
_MEMORY_SECONDS = 300.0
"""How long the shortest run is remembered, at least; twice that at most. Under load a run looks longer than
it is where only the worker can measure it, so moments of calm must count for a while."""


class NotStarted(Exception):
    """A new environment did not come up; its journal has what it wrote."""

    def __init__(self, failure: InitFailed, spec: EnvironmentSpec, journal: Journal) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.spec = spec
        self.journal = journal


@dataclass(slots=True, eq=False)
class Place:
    """An environment with its journal. `fresh` until its first run has reported the init time."""

    environment: Environment
    journal: Journal
    fleet: Fleet
    fresh: bool = True
    idle_since: float = 0.0


@dataclass(slots=True, eq=False)
class Fleet:
    """The environments of one function version in one configuration."""

    key: str
    spec: EnvironmentSpec
    idle: list[Place] = field(default_factory=list)
    waiting: deque[asyncio.Future[Place]] = field(default_factory=deque)
    patient: deque[tuple[float, asyncio.Future[Place]]] = field(default_factory=deque)
    """Those who wait for a busy environment, and since when."""
    ended: int = 0
    """How many runs have ended."""
    shortest_ms: float = float("inf")
    _shortest_lately_ms: float = float("inf")
    _lately_since: float = 0.0
    starting: int = 0
    live: int = 0
    """Environments in any state, starting and busy ones included."""
    retired: bool = False

    @property
    def wants_more(self) -> bool:
        return self.starting < len(self.waiting)

    @property
    def busy(self) -> int:
        return self.live - self.starting - len(self.idle)

    def learn(self, run_ms: float, now: float) -> None:
        """Remember how short a run can be."""
        if now - self._lately_since > _MEMORY_SECONDS:
            self.shortest_ms = self._shortest_lately_ms
            self._shortest_lately_ms, self._lately_since = float("inf"), now
        self._shortest_lately_ms = min(run_ms, self._shortest_lately_ms)
        self.shortest_ms = min(run_ms, self.shortest_ms)

    def next_waiting(self) -> asyncio.Future[Place] | None:
        """The invocation that has waited longest, if any still waits."""
        while self.waiting:
            future = self.waiting.popleft()
            if not future.done():
                return future
        while self.patient:
            _, future = self.patient.popleft()
            if not future.done():
                return future
        return None


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """`memory_mb` bounds the sum of live environments' memory settings; `starts` those at one time."""

    memory_mb: int
    starts: int = 16
    keep_alive_seconds: float = 600.0
    enough_busy: int = 8 * (os.cpu_count() or 1)
    """Above so many busy environments of a function, more do not finish short runs sooner. Far fewer cost the
    worker more than they save: it wakes for one run where it could have dealt with several."""


class Pool:
    """All environments of one worker."""

    def __init__(
        self, factory: EnvironmentFactory, limits: PoolLimits, journal: Callable[[EnvironmentSpec], Journal]
    ) -> None:
        self._factory = factory
        self._limits = limits
        self._journal = journal
        self._fleets: dict[str, Fleet] = {}
        self._current: dict[tuple[str, str], Fleet] = {}
        self._idle: dict[Place, None] = {}  # oldest first
        self._hungry: dict[Fleet, None] = {}
        self._used_mb = 0
        self._starts = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def acquire(self, key: str, spec: EnvironmentSpec) -> Place:
        """A ready environment for one run; give it back with `release`.

        `key` names the configuration. Raises NotStarted where a new environment did not come up, NoRoom,
        OSError where the machine has no resources left.
        """
        fleet = self._fleets.get(key) or self._found(key, spec)
        if fleet.shortest_ms < SHORT_RUN_MS and fleet.busy >= self._limits.enough_busy:
            return await self._wait_a_moment(fleet)
        if fleet.idle:
            return self._take_idle(fleet)
        if spec.memory_mb > self._limits.memory_mb:
            raise NoRoom(
                f"{spec.function_name} needs {spec.memory_mb} MB; this worker has {self._limits.memory_mb} MB"
            )
        return await self._wait(fleet)

    def release(self, place: Place, run_ms: float | None = None) -> None:
        """A run is over, which took `run_ms` where it had an end: the environment is free again, or gone."""
        if place.environment.state is not State.IDLE:
            self._removed(place)
        else:
            place.fleet.ended += 1
            if run_ms is not None:
                place.fleet.learn(run_ms, time.monotonic())
            self._free(place)

    def reap(self) -> None:
        """Stop environments that have been idle for longer than the keep-alive."""
        oldest_allowed = time.monotonic() - self._limits.keep_alive_seconds
        for place in [p for p in self._idle if p.idle_since < oldest_allowed]:
            self._evict(place)
        for fleet in [f for f in self._fleets.values() if not f.live and not f.waiting and not f.patient]:
            del self._fleets[fleet.key]
            del self._current[fleet.spec.function_name, fleet.spec.version]

    def freeze(self) -> None:
        """Freeze what has been idle for a moment: what runs again at once is spared the cost."""
        latest = time.monotonic() - FREEZE_AFTER_SECONDS
        frozen = 0
        for place in reversed(self._idle):
            if place.environment.state is State.FROZEN or frozen == MOST_FROZEN_AT_ONCE:
                return  # older ones are frozen already, or have their turn
            if place.idle_since <= latest:
                place.environment.freeze()
                frozen += 1

    def shed(self) -> None:
        """Memory runs short: stop a quarter of the idle environments, oldest first."""
        for place in list(self._idle)[: len(self._idle) // 4 + 1]:
            self._evict(place)

    async def close(self) -> None:
        """Stop every idle environment and wait for those that are starting or stopping."""
        for fleet in self._fleets.values():
            fleet.retired = True
        for place in list(self._idle):
            self._evict(place)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def census(self) -> dict[str, int]:
        """Environments idle and starting, and the memory promised to all."""
        return {"idle": len(self._idle), "starting": self._starts, "memory_mb": self._used_mb}

    def _free(self, place: Place) -> None:
        """To whoever waits, whatever became of its configuration; else to the idle ones."""
        waiting = place.fleet.next_waiting()
        if waiting is not None:
            waiting.set_result(place)
        elif place.fleet.retired:
            self._discard(place)
        else:
            place.idle_since = time.monotonic()
            place.fleet.idle.append(place)
            self._idle[place] = None
            if self._hungry:
                self._feed()

    def _found(self, key: str, spec: EnvironmentSpec) -> Fleet:
        """A new configuration; it retires the one that the function version had before."""
        fleet = self._fleets[key] = Fleet(key, spec)
        before = self._current.get((spec.function_name, spec.version))
        self._current[spec.function_name, spec.version] = fleet
        if before is not None:
            before.retired = True
            del self._fleets[before.key]
            for place in list(before.idle):
                self._evict(place)
        return fleet

    def _take_idle(self, fleet: Fleet) -> Place:
        place = fleet.idle.pop()
        del self._idle[place]
        return place

    async def _wait(self, fleet: Fleet) -> Place:
        waiting: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        fleet.waiting.append(waiting)
        self._hungry[fleet] = None
        self._feed()
        return await self._received(waiting)

    async def _wait_a_moment(self, fleet: Fleet) -> Place:
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Place] = loop.create_future()
        if not fleet.patient:
            loop.call_later(PATIENCE_SECONDS, self._lose_patience, fleet, fleet.ended)
        fleet.patient.append((loop.time(), waiting))
        return await self._received(waiting)

    def _lose_patience(self, fleet: Fleet, ended_before: int) -> None:
        """Let go those who have waited in vain: no run has ended meanwhile, or theirs was too long a wait."""
        loop = asyncio.get_running_loop()
        in_vain = fleet.ended == ended_before
        latest_since = loop.time() - (0.0 if in_vain else LONGEST_PATIENCE_SECONDS)
        while fleet.patient and fleet.patient[0][0] <= latest_since:
            _, waiting = fleet.patient.popleft()
            if waiting.done():
                continue
            if fleet.idle:
                waiting.set_result(self._take_idle(fleet))
            else:
                fleet.waiting.append(waiting)
                self._hungry[fleet] = None
        if fleet.patient:
            loop.call_later(PATIENCE_SECONDS, self._lose_patience, fleet, fleet.ended)
        self._feed()

    async def _received(self, waiting: asyncio.Future[Place]) -> Place:
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                self.release(waiting.result())
            raise

    def _feed(self) -> None:
        """Start what is wanted, as far as the limits allow; the rest is asked again when room appears."""
        for fleet in list(self._hungry):
            while fleet.wants_more:
                if self._starts >= self._limits.starts or not self._make_room(fleet.spec.memory_mb):
                    return
                self._start(fleet)
            del self._hungry[fleet]

    def _make_room(self, memory_mb: int) -> bool:
        while self._used_mb + memory_mb > self._limits.memory_mb:
            if not self._idle:
                return False
            self._evict(next(iter(self._idle)))
        return True

    def _start(self, fleet: Fleet) -> None:
        fleet.starting += 1
        fleet.live += 1
        self._starts += 1
        self._used_mb += fleet.spec.memory_mb
        journal = self._journal(fleet.spec)
        place: Place

        def gone() -> None:
            self._died_idle(place)

        environment = self._factory.create(fleet.spec, journal.output, gone)
        journal.log_stream = environment.log_stream
        place = Place(environment, journal, fleet)
        self._spawn(self._bring_up(place), f"start-{fleet.spec.function_name}")

    async def _bring_up(self, place: Place) -> None:
        fleet = place.fleet
        try:
            await place.environment.start()
        except InitFailed as failure:
            self._not_started(place, NotStarted(failure, fleet.spec, place.journal))
        except OSError as failure:
            self._not_started(place, failure)
        else:
            self._free(place)
        finally:
            fleet.starting -= 1
            self._starts -= 1
            if fleet.wants_more:
                self._hungry[fleet] = None
            self._feed()

    def _not_started(self, place: Place, failure: Exception) -> None:
        """The one who waited longest is told."""
        self._removed(place)
        waiting = place.fleet.next_waiting()
        if waiting is not None:
            waiting.set_exception(failure)

    def _evict(self, place: Place) -> None:
        place.fleet.idle.remove(place)
        del self._idle[place]
        self._discard(place)

    def _discard(self, place: Place) -> None:
        self._removed(place)
        self._spawn(place.environment.stop(), f"stop-{place.fleet.spec.function_name}")

    def _removed(self, place: Place) -> None:
        self._used_mb -= place.fleet.spec.memory_mb
        place.fleet.live -= 1
        if place.fleet.waiting:
            self._hungry[place.fleet] = None
        if self._hungry:
            asyncio.get_running_loop().call_soon(self._feed)

    def _died_idle(self, place: Place) -> None:
        if place in self._idle:
            place.fleet.idle.remove(place)
            del self._idle[place]
            self._removed(place)

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("environment_task_failed", extra={"task": task.get_name()}, exc_info=error)
