"""Records through tumbling windows: state goes from run to run, and each window ends with a last run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from triggers.event_source_mapping.streams.batches import Batch, retry_delay_seconds
from triggers.event_source_mapping.streams.handling import Conduct, Handling
from triggers.event_source_mapping.streams.invoking import Done, Failed, NotRun
from triggers.event_source_mapping.streams.record_buffer import RecordBuffer
from triggers.event_source_mapping.streams.records import StreamRecord
from triggers.event_source_mapping.streams.windows import OpenWindow, leading, window_at
from triggers.events.dynamodb import WindowContext

GRACE_SECONDS = 1.0
"""How long after its end a window waits for records that are still on their way."""

SettleWindow = Callable[[tuple[StreamRecord, ...], OpenWindow | None], None]
"""Writes off records together with the window as it then is; None when none is open."""


class WindowLane:
    """All of a shard's batches, in order, each with records of one window only."""

    def __init__(
        self,
        buffer: RecordBuffer,
        conduct: Conduct,
        settle: SettleWindow,
        *,
        width_seconds: int,
        shard_id: str,
        stream_arn: str,
        window: OpenWindow | None,
    ) -> None:
        self._buffer = buffer
        self._conduct = conduct
        self._settle_window = settle
        self._width_seconds = width_seconds
        self._shard_id = shard_id
        self._stream_arn = stream_arn
        self._open = window
        self._handling = Handling(conduct, self._run, self._settle)

    async def run(self) -> None:
        """Until the buffer is closed and empty; then the open window ends."""
        while True:
            records = await self._buffer.gather(
                self._conduct.batching_window_seconds, self._seconds_to_the_end()
            )
            if records:
                await self._take(records)
            elif self._open is not None:
                await self._end(self._open)
            if records is None:
                return

    def _seconds_to_the_end(self) -> float | None:
        if self._open is None:
            return None
        return max(self._open.window.end + GRACE_SECONDS - time.time(), GRACE_SECONDS)

    async def _take(self, records: Sequence[StreamRecord]) -> None:
        """Give each record to its window; one that belongs to a later window ends the open one."""
        while records:
            if self._open is None:
                self._open = OpenWindow(window_at(records[0].created_seconds, self._width_seconds))
            count = leading(records, self._open.window)
            if count:
                await self._handling.finish(Batch(tuple(records[:count])))
            else:
                await self._end(self._open)
            records = records[count:]

    async def _run(self, batch: Batch) -> Done | Failed | NotRun:
        window = self._window()
        bodies = [record.body for record in batch.records]
        outcome = await self._conduct.invoker.run(bodies, batch.sequence_numbers, self._context(window))
        if not isinstance(outcome, NotRun) and outcome.state is not None:
            self._open = OpenWindow(window.window, outcome.state)
            if self._open.is_oversized:
                await self._end_early(self._open)
        return outcome

    def _settle(self, records: tuple[StreamRecord, ...]) -> None:
        self._settle_window(records, self._open)

    def _window(self) -> OpenWindow:
        assert self._open is not None, "batches run in an open window"
        return self._open

    async def _end(self, window: OpenWindow) -> None:
        await self._run_last(self._context(window, is_final=True))
        self._open = None
        self._settle(())

    async def _end_early(self, window: OpenWindow) -> None:
        """Its state is too large to go on: the same window begins again with none."""
        await self._run_last(self._context(window, is_final=True, is_early=True))
        self._open = OpenWindow(window.window)

    async def _run_last(self, context: WindowContext) -> None:
        """A run without records; nothing goes on before it succeeds."""
        failures = 0
        while True:
            outcome = await self._conduct.invoker.run((), (), context)
            if isinstance(outcome, Done):
                break
            failures += 1
            self._conduct.report(f"PROBLEM: {outcome.reason}")
            await asyncio.sleep(retry_delay_seconds(failures))
        self._conduct.report("OK")

    def _context(
        self, window: OpenWindow, *, is_final: bool = False, is_early: bool = False
    ) -> WindowContext:
        return WindowContext(
            window.window, window.state, self._shard_id, self._stream_arn, is_final, is_early
        )
