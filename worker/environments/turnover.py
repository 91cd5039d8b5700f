"""Environments come and go: starts and stops them, and keeps the accounts of both."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Protocol

from worker.environments.fleet import Fleet, Place
from worker.environments.interface import EnvironmentFactory, EnvironmentSpec, InitFailed
from worker.environments.room import Room
from worker.journal import Journal
from worker.metering import init_report_line

log = logging.getLogger(__name__)


class NotStarted(Exception):
    """A new environment did not come up; its journal has what it wrote."""

    def __init__(self, failure: InitFailed, spec: EnvironmentSpec, journal: Journal) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.spec = spec
        self.journal = journal


class Owner(Protocol):
    """Who is told of comings and goings, on the loop."""

    def ready(self, place: Place) -> None:
        """It has been initialised and has no work."""

    def not_started(self, fleet: Fleet, failure: Exception, *, provisioned: bool) -> None:
        """One did not come up, and is gone: NotStarted, or OSError where the machine has no resources."""

    def died(self, place: Place) -> None:
        """It ended while it had no work, and has been counted out."""

    def room_changed(self, fleet: Fleet) -> None:
        """There is room for others, or one more start is allowed, because of a change in this fleet."""


class Turnover:
    """Fleets' numbers of live and starting environments, and the room they take, are changed here only."""

    def __init__(
        self,
        factory: EnvironmentFactory,
        room: Room,
        journal: Callable[[EnvironmentSpec], Journal],
        owner: Owner,
    ) -> None:
        self._factory = factory
        self._room = room
        self._journal = journal
        self._owner = owner
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, fleet: Fleet, *, provisioned: bool = False, idle_since: float | None = None) -> None:
        """Make one more; the owner hears how it went. With `idle_since` it is loaded for an expected call."""
        spec = fleet.spec
        if provisioned:
            spec = replace(spec, initialization_type="provisioned-concurrency")
        journal = self._journal(spec)
        place: Place

        def gone() -> None:
            self._owner.died(place)

        try:
            environment = self._factory.create(spec, journal.output, gone)
        except OSError as failure:
            self._owner.not_started(fleet, failure, provisioned=provisioned)
            return
        journal.log_stream = environment.log_stream
        place = Place(environment, journal, fleet, provisioned=provisioned)
        place.preloaded, place.idle_since = idle_since is not None, idle_since or 0.0
        place.fresh = not (provisioned or place.preloaded)
        self._count_in(place)
        self._spawn(self._bring_up(place), f"start-{spec.function_name}")

    def stop(self, place: Place) -> None:
        """Count it out and end it."""
        self.removed(place)
        self._spawn(place.environment.stop(), f"stop-{place.fleet.spec.function_name}")

    def removed(self, place: Place) -> None:
        """It is gone."""
        fleet = place.fleet
        self._room.used_mb -= fleet.spec.memory_mb
        fleet.live -= 1
        if place.provisioned:
            fleet.provision.live -= 1
        self._owner.room_changed(fleet)

    async def settled(self) -> None:
        """Return when nothing is starting or stopping."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _count_in(self, place: Place) -> None:
        fleet = place.fleet
        fleet.starting += 1
        fleet.live += 1
        self._room.starts += 1
        self._room.used_mb += fleet.spec.memory_mb
        if place.provisioned:
            fleet.provision.starting += 1
            fleet.provision.live += 1

    async def _bring_up(self, place: Place) -> None:
        fleet, journal = place.fleet, place.journal
        failure: Exception | None = None
        try:
            await place.environment.start()
        except InitFailed as error:
            failure = NotStarted(error, fleet.spec, journal)
        except OSError as error:
            failure = error
        finally:
            fleet.starting -= 1
            self._room.starts -= 1
            if place.provisioned:
                fleet.provision.starting -= 1
        if failure is not None:
            self.removed(place)
            self._owner.not_started(fleet, failure, provisioned=place.provisioned)
        else:
            if not place.fresh:
                journal.note(init_report_line(place.environment.init_duration_ms))
            self._owner.ready(place)
        self._owner.room_changed(fleet)

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("environment_task_failed", extra={"task": task.get_name()}, exc_info=error)
