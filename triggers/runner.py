"""Keeps the adapter of one trigger running: started again with back-off when it fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random

from broker.invocation import now_ms
from broker.trigger_store.model import TriggerRecord, TriggerStatus
from triggers.interface import Adapter, LeaseGone, RunningTrigger

log = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS = 0.5
_LAST_RETRY_SECONDS = 30.0


class Runner:
    """One trigger's task, from `start` to `stop`; `status` says how it fares."""

    def __init__(self, adapter: Adapter, trigger: RunningTrigger) -> None:
        self._adapter = adapter
        self._trigger = trigger
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def record(self) -> TriggerRecord:
        return self._trigger.record

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"trigger-{self.record.id}")

    async def stop(self) -> None:
        """Cancel it and wait until it has settled what it could. Idempotent."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        delay_seconds = _FIRST_RETRY_SECONDS
        loop = asyncio.get_running_loop()
        # An adapter that loses its lease, or fails, while it is being stopped is not started again.
        while not self._stopping:
            started = loop.time()
            with contextlib.suppress(LeaseGone):
                await self._run_once()
            if loop.time() - started > _LAST_RETRY_SECONDS:
                delay_seconds = _FIRST_RETRY_SECONDS
            await asyncio.sleep(delay_seconds * random.uniform(0.5, 1.0))
            delay_seconds = min(_LAST_RETRY_SECONDS, delay_seconds * 2)

    async def _run_once(self) -> None:
        try:
            await self._adapter.run(self._trigger)
        except LeaseGone:
            raise
        except Exception as error:
            log.exception("trigger_failed", extra={"trigger": self.record.id, "kind": self.record.kind})
            self._trigger.report(f"PROBLEM: {error or type(error).__name__}")


class Reports:
    """What triggers reported and is not stored yet."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}
        self._unsaved: dict[str, TriggerStatus] = {}

    def report(self, trigger_id: str, result: str) -> None:
        """Remember a result where it differs from the one before."""
        if self._last.get(trigger_id) == result:
            return
        self._last[trigger_id] = result
        state = "failing" if result.startswith("PROBLEM") else "running"
        self._unsaved[trigger_id] = TriggerStatus(state, result, now_ms())  # type: ignore[arg-type]

    def forget(self, trigger_id: str) -> None:
        """Another process serves it now, and speaks of it."""
        self._last.pop(trigger_id, None)
        self._unsaved.pop(trigger_id, None)

    def take(self) -> dict[str, TriggerStatus]:
        """What is to be stored; `give_back` what could not be."""
        unsaved, self._unsaved = self._unsaved, {}
        return unsaved

    def give_back(self, statuses: dict[str, TriggerStatus]) -> None:
        self._unsaved = {**statuses, **self._unsaved}
