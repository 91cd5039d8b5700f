"""Shares the triggers among the processes that serve them, by leases, and runs those that are ours.

Every second each process says that it is there, renews its leases and takes its fair share of what nobody
holds. A process that dies says nothing more: its leases lapse within seconds and the others take over. A
trigger that another process should have for balance is stopped first and then released, so that two
processes never serve the same one.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from broker.errors import BrokerError
from broker.trigger_store.directory import Directory
from broker.trigger_store.interface import Leases, TriggerStore
from broker.trigger_store.model import TriggerRecord
from triggers.interface import Adapter, RunningTrigger
from triggers.runner import Reports, Runner

log = logging.getLogger(__name__)

LEASE_SECONDS = 5.0
TICK_SECONDS = 1.0
_LEASE_MS = round(LEASE_SECONDS * 1000)
_SAFETY_SECONDS = 1.5
"""Without a renewal we stop this long before the leases lapse."""

MakeRunning = Callable[[TriggerRecord, str, Callable[[str], None]], RunningTrigger]
"""Equips a record for its adapter; takes the owner's name and where results are reported."""


class Supervisor:
    """Serves triggers in one process under a fresh `owner` name; `run` until cancelled."""

    def __init__(
        self,
        owner: str,
        store: TriggerStore,
        directory: Directory,
        adapters: Mapping[str, Adapter],
        make_running: MakeRunning,
    ) -> None:
        self._owner = owner
        self._store = store
        self._leases: Leases = store
        self._directory = directory
        self._adapters = adapters
        self._make_running = make_running
        self._runners: dict[str, Runner] = {}
        self._stopping: dict[str, asyncio.Task[None]] = {}
        self._reports = Reports()
        self._changed = asyncio.Event()
        self._renewed_at = 0.0
        directory.on_change(self._changed.set)

    @property
    def served(self) -> frozenset[str]:
        """Ids of the triggers that run here."""
        return frozenset(self._runners)

    async def run(self) -> None:
        """Serve until cancelled; then stop every trigger and give its lease up."""
        try:
            while True:
                await self._tick()
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK_SECONDS):
                        await self._changed.wait()
        finally:
            await asyncio.shield(self._sign_off())

    async def _tick(self) -> None:
        try:
            await self._share_out()
            await self._store_reports()
        except BrokerError as error:
            log.warning("triggers_not_shared", extra={"reason": str(error)})
            if self._now() - self._renewed_at > LEASE_SECONDS - _SAFETY_SECONDS:
                self._stop(list(self._runners))

    async def _share_out(self) -> None:
        wanted = self._wanted()
        self._stop([id_ for id_, runner in self._runners.items() if wanted.get(id_) != runner.record])
        processes = await self._leases.attend(self._owner, _LEASE_MS)
        fair = -(-len(wanted) // max(1, processes))
        self._stop(list(self._runners)[fair:])
        held = await self._claim(wanted, most_new=max(0, fair - len(self._runners)))
        self._stop([id_ for id_ in self._runners if id_ not in held])
        for id_ in held & wanted.keys() - self._runners.keys() - self._stopping.keys():
            self._start(wanted[id_])

    async def _claim(self, wanted: Mapping[str, TriggerRecord], most_new: int) -> frozenset[str]:
        """Renew what we have, also what is being stopped, and take up to `most_new` others."""
        asked_at = self._now()
        ours = [*self._runners, *self._stopping]
        others = self._in_our_order(wanted.keys() - ours) if most_new else []
        held = await self._leases.claim(self._owner, [*ours, *others], _LEASE_MS, most_new)
        self._renewed_at = asked_at
        return held

    def _wanted(self) -> dict[str, TriggerRecord]:
        records = self._directory.records.values()
        return {record.id: record for record in records if record.enabled and record.kind in self._adapters}

    def _in_our_order(self, ids: Iterable[str]) -> list[str]:
        """Processes take free triggers in different orders, so that they rarely want the same ones."""
        return sorted(ids, key=lambda id_: hashlib.blake2b(f"{self._owner} {id_}".encode()).digest())

    def _start(self, record: TriggerRecord) -> None:
        trigger = self._make_running(record, self._owner, partial(self._reports.report, record.id))
        runner = Runner(self._adapters[record.kind], trigger)
        self._runners[record.id] = runner
        runner.start()

    def _stop(self, ids: list[str]) -> None:
        """Begin to stop these; each keeps its lease until it has stopped, and may start anew after that."""
        for id_ in ids:
            stopping = asyncio.create_task(self._finish(self._runners.pop(id_)), name=f"stop-{id_}")
            self._stopping[id_] = stopping

    async def _finish(self, runner: Runner) -> None:
        id_ = runner.record.id
        await runner.stop()
        with contextlib.suppress(BrokerError):  # then it lapses
            await self._leases.release(self._owner, [id_])
        self._reports.forget(id_)
        del self._stopping[id_]
        self._changed.set()

    async def _store_reports(self) -> None:
        statuses = self._reports.take()
        try:
            await self._store.put_statuses(statuses)
        except BrokerError:
            self._reports.give_back(statuses)
            raise

    async def _sign_off(self) -> None:
        self._stop(list(self._runners))
        while self._stopping:
            await asyncio.wait(set(self._stopping.values()), timeout=TICK_SECONDS)
            with contextlib.suppress(BrokerError):
                await self._claim({}, most_new=0)
        with contextlib.suppress(BrokerError):
            await self._leases.leave(self._owner)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
