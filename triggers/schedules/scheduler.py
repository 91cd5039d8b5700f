"""Fires all schedules: one loop in each triggers process, over ticks that they share.

A schedule is no task and holds no lease. Its next tick stands in the schedule store; whoever looks when it
is due claims it, publishes the function's event under a request id made of schedule and tick, and writes down
the tick after it. A process that dies in between is followed by another that does it again; the broker
accepts that request id once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from broker.caller import Caller, Target
from broker.errors import BrokerError, BrokerUnavailable
from broker.invocation import now_ms
from broker.schedule_store.interface import Registration, ScheduleStore, Tick
from broker.settings import Settings
from broker.trigger_store.directory import Directory
from broker.trigger_store.interface import TriggerStore
from broker.trigger_store.model import TriggerRecord
from triggers.events.scheduled_event import scheduled_event
from triggers.kinds import read_settings
from triggers.runner import Reports
from triggers.schedules.missed_ticks import Timing
from triggers.schedules.settings import ScheduleSettings

log = logging.getLogger(__name__)

KIND = "schedule"
CLAIM_MS = 10_000
"""How long a tick may be in the hands of a process before another takes it."""
_MOST_CLAIMED = 256
_MOST_REGISTERED = 500
_LONGEST_SLEEP_SECONDS = 1.0
_NAMESPACE = uuid.UUID("6f0f2ac6-9a0e-4f5c-8f5a-3d6a8b1f3c52")


@dataclass(frozen=True, slots=True)
class _Schedule:
    record: TriggerRecord
    timing: Timing
    payload: bytes | None


class Scheduler:
    """`run` until cancelled. `clock` gives epoch milliseconds."""

    def __init__(
        self,
        directory: Directory,
        store: ScheduleStore,
        triggers: TriggerStore,
        caller: Caller,
        settings: Settings,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._directory = directory
        self._store = store
        self._triggers = triggers
        self._caller = caller
        self._settings = settings
        self._clock = clock
        self._schedules: dict[str, _Schedule] = {}
        self._seen_generation = -1
        self._reports = Reports()
        self._changed = asyncio.Event()
        directory.on_change(self._changed.set)

    async def run(self) -> None:
        """Fire schedules; while the store is away wait for it."""
        while True:
            self._changed.clear()
            sleep_seconds = _LONGEST_SLEEP_SECONDS
            try:
                sleep_seconds = await self.look()
            except BrokerError as error:
                log.warning("schedules_not_fired", extra={"reason": str(error)})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(sleep_seconds):
                    await self._changed.wait()

    async def look(self) -> float:
        """Take up what changed and fire what is due; how many seconds later there may be more to do.

        Raises BrokerUnavailable.
        """
        await self._follow()
        while True:
            look = await self._store.claim(self._clock(), CLAIM_MS, _MOST_CLAIMED)
            if not look.claimed:
                break
            await self._fire_all(look.claimed)
        await self._store_reports()
        if look.next_ms is None:
            return _LONGEST_SLEEP_SECONDS
        return min(_LONGEST_SLEEP_SECONDS, max(0.0, (look.next_ms - self._clock()) / 1000))

    async def _follow(self) -> None:
        """Register schedules that are new or changed, forget those that are gone."""
        generation = self._directory.generation
        if generation == self._seen_generation:
            return
        wanted = {r.id: r for r in self._directory.records.values() if r.kind == KIND and r.enabled}
        registered = await self._store.registered()
        gone = {id_: generation for id_ in registered if id_ not in wanted}
        await self._store.forget(gone)
        for id_ in self._schedules.keys() - wanted.keys():
            del self._schedules[id_]
            self._reports.forget(id_)
        new = [r for id_, r in wanted.items() if not self._knows(r) or registered.get(id_, -1) < r.generation]
        for start in range(0, len(new), _MOST_REGISTERED):
            await self._store.register(list(self._registrations(new[start : start + _MOST_REGISTERED])))
        self._seen_generation = generation

    def _knows(self, record: TriggerRecord) -> bool:
        known = self._schedules.get(record.id)
        return known is not None and known.record == record

    def _registrations(self, records: Iterable[TriggerRecord]) -> Iterable[Registration]:
        now = self._clock()
        for record in records:
            try:
                settings = read_settings(KIND, record.settings)
            except ValueError as error:  # stored by another version of ours
                self._reports.report(record.id, f"PROBLEM: {error}")
                continue
            assert isinstance(settings, ScheduleSettings)
            timing = settings.timing(record.created_ms)
            self._schedules[record.id] = _Schedule(record, timing, settings.payload())
            yield Registration(record.id, record.generation, timing.after(now))

    async def _fire_all(self, ticks: Sequence[Tick]) -> None:
        if any(tick.schedule_id not in self._schedules for tick in ticks):
            # Another process heard of it first.
            await self._directory.refresh()
            await self._follow()
        known = [tick for tick in ticks if tick.schedule_id in self._schedules]
        fired = await asyncio.gather(*(self._fire_due(tick) for tick in known), return_exceptions=True)
        done = [one for one in fired if isinstance(one, tuple)]
        await self._store.advance(dict(done))
        for one in fired:
            if isinstance(one, BaseException):
                raise one  # what was not published is claimed again later

    async def _fire_due(self, tick: Tick) -> tuple[Tick, int | None]:
        """Fire what a schedule is due to fire; its next tick."""
        schedule = self._schedules[tick.schedule_id]
        plan = schedule.timing.plan(tick.tick_ms, self._clock())
        for tick_ms in plan.fires:
            self._reports.report(tick.schedule_id, await self._send(schedule, tick_ms))
        return tick, plan.next_ms

    async def _send(self, schedule: _Schedule, tick_ms: int) -> str:
        """Publish one tick's event; what to report. Raises BrokerUnavailable."""
        record, settings = schedule.record, self._settings
        request_id = str(uuid.uuid5(_NAMESPACE, f"{record.id} {tick_ms}"))
        payload = schedule.payload
        if payload is None:
            arn = f"arn:aws:events:{settings.region}:{settings.account_id}:rule/{record.id}"
            payload = scheduled_event(request_id, tick_ms, settings.account_id, settings.region, arn)
        target = Target(record.function_name, record.qualifier)
        try:
            await self._caller.send(target, payload, request_id=request_id, once=True)
        except BrokerUnavailable:
            raise
        except BrokerError as error:
            log.warning("schedule_not_fired", extra={"schedule": record.id, "reason": str(error)})
            return f"PROBLEM: {error}"
        return "OK"

    async def _store_reports(self) -> None:
        statuses = self._reports.take()
        try:
            await self._triggers.put_statuses(statuses)
        except BrokerError:
            self._reports.give_back(statuses)
            raise
