"""Carries out what is decided of a batch: run, retry, bisect, give up, until every record is settled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from triggers.event_source_mapping.streams.batches import (
    Batch,
    Condition,
    GiveUp,
    RetryPolicy,
    after_failure,
    retry_delay_seconds,
    too_old,
)
from triggers.event_source_mapping.streams.failure_record import Ran
from triggers.event_source_mapping.streams.invoking import Done, Failed, Invoker, NotRun
from triggers.event_source_mapping.streams.records import StreamRecord

DRAIN_SECONDS = 5.0
"""How long a run may go on when its mapping is changed, disabled or handed over."""

GivenUp = Callable[[Batch, Condition, Ran | None], Awaitable[None]]
"""Tells the mapping's on-failure destination; returns when it has been told."""

Run = Callable[[Batch], Awaitable[Done | Failed | NotRun]]
Settle = Callable[[tuple[StreamRecord, ...]], None]


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a mapping treats its batches."""

    invoker: Invoker
    policy: RetryPolicy
    given_up: GivenUp
    report: Callable[[str], None]
    batching_window_seconds: float


class Handling:
    """Brings batches to their end, one after the other. `run` runs one once, `settle` writes records off."""

    def __init__(self, conduct: Conduct, run: Run, settle: Settle) -> None:
        self._conduct = conduct
        self._run = run
        self._settle = settle

    async def finish(self, batch: Batch) -> None:
        """Return when all of its records are done or given up, however long that takes."""
        pending = [batch]
        last_run: Ran | None = None
        refusals = 0
        while pending:
            current = await self._without_old(pending.pop(0), last_run)
            if not current.records:
                continue
            outcome = await self._run_to_its_end(current)
            self._conduct.report("OK" if isinstance(outcome, Done) else f"PROBLEM: {outcome.reason}")
            match outcome:
                case Done():
                    refusals = 0
                    self._settle(current.records)
                case Failed():
                    refusals, last_run = 0, outcome.ran
                    pending[:0] = await self._after_failure(current, outcome)
                case NotRun():
                    refusals += 1
                    pending.insert(0, current)
                    await asyncio.sleep(retry_delay_seconds(refusals))

    async def _run_to_its_end(self, batch: Batch) -> Done | Failed | NotRun:
        """One run. Cancelled, it gives the run some time: what ends well is not done again elsewhere."""
        running = asyncio.ensure_future(self._run(batch))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait({running}, timeout=DRAIN_SECONDS)
            if running.done() and isinstance(running.result(), Done):
                self._settle(batch.records)
            running.cancel()
            raise

    async def _after_failure(self, batch: Batch, failed: Failed) -> tuple[Batch, ...]:
        """What is to be run instead, after the wait that it asks for."""
        self._settle(batch.records[: failed.index])
        verdict = after_failure(batch, failed.index, self._conduct.policy)
        if isinstance(verdict, GiveUp):
            await self._give_up(verdict.batch, verdict.condition, failed.ran)
            return ()
        await asyncio.sleep(verdict.delay_seconds)
        return verdict.batches

    async def _without_old(self, batch: Batch, last_run: Ran | None) -> Batch:
        """The batch without those that are too old, which are given up."""
        old, fresh = too_old(batch, time.time(), self._conduct.policy)
        if old.records:
            await self._give_up(old, "RecordAgeExceeded", last_run if old.runs else None)
        return fresh

    async def _give_up(self, batch: Batch, condition: Condition, ran: Ran | None) -> None:
        await self._conduct.given_up(batch, condition, ran)
        self._settle(batch.records)
