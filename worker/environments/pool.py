"""Which environment runs the next invocation: a warm one, one that is about to be free, or a new one.

Environments of one configuration form a fleet. The most recently used idle one goes first, so that few
stay warm and the rest age out. An invocation that finds none asks for a new one and takes whichever is
free first: the new one, or one that another invocation gives back meanwhile; so a burst of short calls
needs few environments. Capacity is memory: idle environments make room for others, oldest first.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine

from worker.environments.fleet import Fleet, Place
from worker.environments.idle_places import IdlePlaces
from worker.environments.interface import EnvironmentFactory, EnvironmentSpec, InitFailed
from worker.environments.lifecycle import State
from worker.environments.patience import Patience
from worker.environments.room import PoolLimits, Room
from worker.journal import Journal

log = logging.getLogger(__name__)


class NotStarted(Exception):
    """A new environment did not come up; its journal has what it wrote."""

    def __init__(self, failure: InitFailed, spec: EnvironmentSpec, journal: Journal) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.spec = spec
        self.journal = journal


class Pool:
    """All environments of one worker."""

    def __init__(
        self,
        factory: EnvironmentFactory,
        limits: PoolLimits,
        journal: Callable[[EnvironmentSpec], Journal],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._factory = factory
        self._limits = limits
        self._journal = journal
        self._clock = clock
        self._fleets: dict[str, Fleet] = {}
        self._current: dict[tuple[str, str], Fleet] = {}
        self._idle = IdlePlaces()
        self._hungry: dict[Fleet, None] = {}
        self._room = Room(limits)
        self._patience = Patience(limits.enough_busy, self._serve_the_tired)
        self._tasks: set[asyncio.Task[None]] = set()

    async def acquire(self, key: str, spec: EnvironmentSpec) -> Place:
        """A ready environment for one run; give it back with `release`.

        `key` names the configuration. Raises NotStarted where a new environment did not come up, NoRoom,
        OSError where the machine has no resources left.
        """
        fleet = self._fleets.get(key) or self._found(key, spec)
        if self._patience.pays(fleet):
            return await self._received(self._patience.wait(fleet))
        if fleet.idle:
            return self._idle.take(fleet.idle)
        self._room.check(spec.function_name, spec.memory_mb)
        waiting: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._want_more(fleet, [waiting])
        return await self._received(waiting)

    def release(self, place: Place, run_ms: float | None = None) -> None:
        """A run is over, which took `run_ms` where it had an end: the environment is free again, or gone."""
        if place.environment.state is not State.IDLE:
            self._removed(place)
        else:
            place.fleet.ended += 1
            if run_ms is not None:
                place.fleet.runs.learn(run_ms, self._clock())
            self._free(place)

    def reap(self) -> None:
        """Stop environments that have been idle for longer than the keep-alive."""
        oldest_allowed = self._clock() - self._limits.keep_alive_seconds
        for place in [p for p in self._idle if p.idle_since < oldest_allowed]:
            self._evict(place)
        for fleet in [f for f in self._fleets.values() if f.is_deserted]:
            del self._fleets[fleet.key]
            del self._current[fleet.spec.function_name, fleet.spec.version]

    def freeze(self) -> None:
        """Freeze what has been idle for a moment."""
        self._idle.freeze(self._clock())

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
        return {"idle": len(self._idle), "starting": self._room.starts, "memory_mb": self._room.used_mb}

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

    def _free(self, place: Place) -> None:
        """To whoever waits, whatever became of its configuration; else to the idle ones."""
        waiting = place.fleet.next_waiting()
        if waiting is not None:
            waiting.set_result(place)
        elif place.fleet.retired:
            self._discard(place)
        else:
            self._idle.add(place, self._clock())
            if self._hungry:
                self._feed()

    async def _received(self, waiting: asyncio.Future[Place]) -> Place:
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                self.release(waiting.result())
            raise

    def _serve_the_tired(self, fleet: Fleet, tired: list[asyncio.Future[Place]]) -> None:
        """Those who waited for a busy environment in vain take an idle one, or a new one."""
        while tired and fleet.idle:
            tired.pop(0).set_result(self._idle.take(fleet.idle))
        self._want_more(fleet, tired)

    def _want_more(self, fleet: Fleet, waiting: list[asyncio.Future[Place]]) -> None:
        """Start an environment for each who waits, as far as the limits allow."""
        if waiting:
            fleet.waiting.extend(waiting)
            self._hungry[fleet] = None
        self._feed()

    def _feed(self) -> None:
        """Start what is wanted, as far as the limits allow; the rest is asked again when room appears."""
        for fleet in list(self._hungry):
            while fleet.wants_more:
                if not self._room.may_start or not self._make_room(fleet.spec.memory_mb):
                    return
                self._start(fleet)
            del self._hungry[fleet]

    def _make_room(self, memory_mb: int) -> bool:
        while not self._room.has(memory_mb):
            oldest = self._idle.oldest()
            if oldest is None:
                return False
            self._evict(oldest)
        return True

    def _start(self, fleet: Fleet) -> None:
        journal = self._journal(fleet.spec)
        place: Place

        def gone() -> None:
            self._died_idle(place)

        try:
            environment = self._factory.create(fleet.spec, journal.output, gone)
        except OSError as failure:
            self._tell(fleet, failure)
            return
        journal.log_stream = environment.log_stream
        place = Place(environment, journal, fleet)
        fleet.starting += 1
        fleet.live += 1
        self._room.starts += 1
        self._room.used_mb += fleet.spec.memory_mb
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
            self._room.starts -= 1
            if fleet.wants_more:
                self._hungry[fleet] = None
            self._feed()

    def _not_started(self, place: Place, failure: Exception) -> None:
        self._removed(place)
        self._tell(place.fleet, failure)

    def _tell(self, fleet: Fleet, failure: Exception) -> None:
        """The one who waited longest hears of it."""
        waiting = fleet.next_waiting()
        if waiting is not None:
            waiting.set_exception(failure)

    def _evict(self, place: Place) -> None:
        self._idle.remove(place)
        self._discard(place)

    def _discard(self, place: Place) -> None:
        self._removed(place)
        self._spawn(place.environment.stop(), f"stop-{place.fleet.spec.function_name}")

    def _removed(self, place: Place) -> None:
        self._room.used_mb -= place.fleet.spec.memory_mb
        place.fleet.live -= 1
        if place.fleet.waiting:
            self._hungry[place.fleet] = None
        if self._hungry:
            asyncio.get_running_loop().call_soon(self._feed)

    def _died_idle(self, place: Place) -> None:
        if place in self._idle:
            self._idle.remove(place)
            self._removed(place)

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("environment_task_failed", extra={"task": task.get_name()}, exc_info=error)
