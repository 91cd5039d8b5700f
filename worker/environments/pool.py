"""Which environment runs the next invocation: a warm one, one that is about to be free, or a new one.

Environments of one configuration form a fleet. The most recently used idle one goes first, so that few
stay warm and the rest age out. An invocation that finds none asks for a new one and takes whichever is
free first: the new one, or one that another invocation gives back meanwhile; so a burst of short calls
needs few environments. Capacity is memory: idle environments make room for others, oldest first.

Provisioned environments are initialised ahead and go before all others; what they cannot take spills over.
They neither age out nor make room.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from worker.environments.aging import Aging
from worker.environments.fleet import Fleet, Place
from worker.environments.idle_places import IdlePlaces
from worker.environments.interface import EnvironmentFactory, EnvironmentSpec
from worker.environments.keep_alive import FixedKeepAlive, KeepAlive
from worker.environments.lifecycle import State
from worker.environments.patience import Patience
from worker.environments.provision import Provision
from worker.environments.room import PoolLimits, Room
from worker.environments.turnover import Turnover
from worker.journal import Journal


class Pool:
    """All environments of one worker."""

    def __init__(
        self,
        factory: EnvironmentFactory,
        limits: PoolLimits,
        journal: Callable[[EnvironmentSpec], Journal],
        keep_alive: KeepAlive | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._keep_alive = keep_alive or FixedKeepAlive()
        self._aging = Aging(self._keep_alive)
        self._fleets: dict[str, Fleet] = {}
        self._current: dict[tuple[str, str], Fleet] = {}
        self._idle = IdlePlaces()
        self._standing = IdlePlaces()
        self._provisioned: dict[Fleet, None] = {}
        self._hungry: dict[Fleet, None] = {}
        self._room = Room(limits)
        self._shed_prewarmed = factory.shed
        self._reap_shared = factory.reap
        self._turnover = Turnover(factory, self._room, journal, self)
        self._patience = Patience(limits.enough_busy, self._serve_the_tired)
        self._feeding = False

    async def acquire(self, key: str, spec: EnvironmentSpec) -> Place:
        """A ready environment for one run; give it back with `release`.

        `key` names the configuration. Raises NotStarted where a new environment did not come up, NoRoom,
        OSError where the machine has no resources left.
        """
        fleet = self._fleets.get(key) or self._found(key, spec)
        if self._patience.pays(fleet):
            return await self._received(self._patience.wait(fleet))
        if fleet.provision.idle:
            return self._take_provisioned(fleet.provision)
        if fleet.idle:
            return self._take_idle(fleet)
        self._room.check(spec.function_name, spec.memory_mb)
        fleet.history.missed(self._clock())
        waiting: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._want_more(fleet, [waiting])
        return await self._received(waiting)

    def release(self, place: Place, run_ms: float | None = None) -> None:
        """A run is over, which took `run_ms` where it had an end: the environment is free again, or gone."""
        if place.environment.state is not State.IDLE:
            self._turnover.removed(place)
        else:
            place.fleet.ended += 1
            if run_ms is not None:
                place.fleet.runs.learn(run_ms, self._clock())
            self.ready(place)

    def provision(self, key: str, spec: EnvironmentSpec, count: int) -> Provision:
        """Keep `count` environments of a configuration initialised from now on, 0: none.

        They are started as the limits allow, half of the starts at a time, and replaced when they die. Where
        one did not start, `Provision.failure` says why and nothing is started until it is set to None and
        this is called again. Raises NoRoom.
        """
        if count:
            self._room.check(spec.function_name, spec.memory_mb)
        fleet = self._fleets.get(key)
        if fleet is None:
            if not count:
                return Provision()
            fleet = self._found(key, spec)
        fleet.provision.count = count
        self._provisioned[fleet] = None
        self._provide()
        return fleet.provision

    def reap(self) -> None:
        """Stop environments that have been idle for long enough; load those whose call is expected."""
        self._reap_shared()
        now = self._clock()
        for place in [place for place in self._idle if self._aging.is_over(place, now)]:
            self._evict(place)
        for fleet in self._fleets.values():
            if fleet.load_at is not None and fleet.load_at <= now:
                self._preload(fleet)
        for fleet in [f for f in self._fleets.values() if f.is_deserted]:
            del self._fleets[fleet.key]
            del self._current[fleet.spec.function_name, fleet.spec.version]

    def freeze(self) -> None:
        """Freeze what has been idle for a moment."""
        self._idle.freeze(self._clock())
        self._standing.freeze(self._clock())

    def shed(self) -> None:
        """Memory runs short: stop what is pre-warmed, and of the idle environments the oldest quarter."""
        self._shed_prewarmed()
        for place in list(self._idle)[: len(self._idle) // 4 + 1]:
            self._evict(place)

    async def close(self) -> None:
        """Stop every idle environment and wait for those that are starting or stopping."""
        for fleet in self._fleets.values():
            fleet.retired = True
        self._provisioned.clear()
        for place in [*self._idle, *self._standing]:
            self._evict(place)
        await self._turnover.settled()

    def census(self) -> dict[str, int]:
        """Environments idle and starting, and the memory promised to all."""
        idle = len(self._idle) + len(self._standing)
        return {"idle": idle, "starting": self._room.starts, "memory_mb": self._room.used_mb}

    def ready(self, place: Place) -> None:
        """To whoever waits, whatever became of its configuration; else to the idle ones."""
        waiting = place.fleet.next_waiting()
        if waiting is not None:
            place.preloaded = False
            waiting.set_result(place)
        elif place.fleet.retired or (place.provisioned and place.fleet.provision.has_too_many):
            self._turnover.stop(place)
        elif place.provisioned:
            place.idle_since = self._clock()
            self._standing.add(place)
            place.fleet.provision.changed()
        else:
            if not place.preloaded:
                place.idle_since = self._clock()
            self._idle.add(place)
            if self._hungry:
                self._feed()

    def not_started(self, fleet: Fleet, failure: Exception, *, provisioned: bool) -> None:
        """The one who waited longest hears of it, and who has provisioned."""
        if provisioned:
            fleet.provision.failure = failure
        waiting = fleet.next_waiting()
        if waiting is not None:
            waiting.set_exception(failure)

    def died(self, place: Place) -> None:
        """An idle environment ended by itself."""
        if place in self._shelves(place):
            self._shelves(place).remove(place)
            self._turnover.removed(place)

    def room_changed(self, fleet: Fleet) -> None:
        """Those who wait for room are served in a moment, together."""
        if fleet.wants_more:
            self._hungry[fleet] = None
        if not self._feeding and (self._hungry or self._provisioned):
            self._feeding = True
            asyncio.get_running_loop().call_soon(self._feed_together)

    def _found(self, key: str, spec: EnvironmentSpec) -> Fleet:
        """A new configuration; it retires the one that the function version had before."""
        history = self._keep_alive.history(f"{spec.function_name}:{spec.version}")
        fleet = self._fleets[key] = Fleet(key, spec, history=history)
        before = self._current.get((spec.function_name, spec.version))
        self._current[spec.function_name, spec.version] = fleet
        if before is not None:
            before.retired = True
            del self._fleets[before.key]
            self._provisioned.pop(before, None)
            for place in [*before.idle, *before.provision.idle]:
                self._evict(place)
        return fleet

    async def _received(self, waiting: asyncio.Future[Place]) -> Place:
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                self.release(waiting.result())
            raise

    def _take_idle(self, fleet: Fleet) -> Place:
        place = self._idle.take(fleet.idle)
        fleet.history.add(self._clock() - place.idle_since)
        place.preloaded = False
        return place

    def _preload(self, fleet: Fleet) -> None:
        """Where there is room without stopping others: it is a guess."""
        fleet.load_at = None
        if fleet.live or not (self._room.may_start_ahead and self._room.has(fleet.spec.memory_mb)):
            return
        idle_since = fleet.history.last_unloaded()
        if idle_since is not None:
            self._turnover.start(fleet, idle_since=idle_since)

    def _take_provisioned(self, provision: Provision) -> Place:
        place = self._standing.take(provision.idle)
        provision.changed()
        return place

    def _serve_the_tired(self, fleet: Fleet, tired: list[asyncio.Future[Place]]) -> None:
        """Those who waited for a busy environment in vain take an idle one, or a new one."""
        while tired and fleet.provision.idle:
            tired.pop(0).set_result(self._take_provisioned(fleet.provision))
        while tired and fleet.idle:
            tired.pop(0).set_result(self._take_idle(fleet))
        self._want_more(fleet, tired)

    def _want_more(self, fleet: Fleet, waiting: list[asyncio.Future[Place]]) -> None:
        """Start an environment for each who waits, as far as the limits allow."""
        if waiting:
            fleet.waiting.extend(waiting)
            self._hungry[fleet] = None
        self._feed()

    def _feed_together(self) -> None:
        self._feeding = False
        self._feed()

    def _feed(self) -> None:
        """Start what is wanted, as far as the limits allow; the rest is asked again when room appears."""
        for fleet in list(self._hungry):
            while fleet.wants_more:
                if not self._room.may_start or not self._make_room(fleet.spec.memory_mb):
                    return
                self._turnover.start(fleet)
            del self._hungry[fleet]
        self._provide()

    def _provide(self) -> None:
        """Start what is to be provisioned, stop what is too much; a busy one is stopped after its run."""
        for fleet in list(self._provisioned):
            wanted = fleet.provision
            while wanted.has_too_many and wanted.idle:
                self._evict(wanted.idle[0])
            while wanted.lacks_some and self._room.may_start_ahead and self._make_room(fleet.spec.memory_mb):
                self._turnover.start(fleet, provisioned=True)
            if not wanted.count:
                del self._provisioned[fleet]

    def _make_room(self, memory_mb: int) -> bool:
        while not self._room.has(memory_mb):
            oldest = self._idle.oldest()
            if oldest is None:
                return False
            self._evict(oldest)
        return True

    def _evict(self, place: Place) -> None:
        if not place.provisioned:
            place.fleet.history.unloaded(place.idle_since)
        self._shelves(place).remove(place)
        self._turnover.stop(place)

    def _shelves(self, place: Place) -> IdlePlaces:
        return self._standing if place.provisioned else self._idle
