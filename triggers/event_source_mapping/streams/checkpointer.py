"""Writes a shard's checkpoints: the newest when the one before has been kept, so that they never pile up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from broker.errors import BrokerUnavailable
from triggers.event_source_mapping.streams.checkpoint import ShardCheckpoint

log = logging.getLogger(__name__)

Save = Callable[[ShardCheckpoint], Awaitable[None]]
"""Keeps one. Raises BrokerUnavailable, and whatever says that the shard is not ours any more."""

_RETRY_SECONDS = 0.5
_LAST_SAVE_SECONDS = 3.0


def cancelled() -> bool:
    """Whether this task has been told to end.

    Asked after calls of Redis: `asyncio.wait_for`, which its client uses, swallows a cancellation that comes
    together with the answer (until Python 3.12).
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Checkpointer:
    """`put` as often as there is progress; `run` keeps the newest until cancelled, or until `finish`."""

    def __init__(self, save: Save) -> None:
        self._save = save
        self._newest: ShardCheckpoint | None = None
        self._changed = asyncio.Event()

    def put(self, checkpoint: ShardCheckpoint) -> None:
        """Costs nothing."""
        self._newest = checkpoint
        self._changed.set()

    async def run(self) -> None:
        """Raises what `save` raises, but for an unavailable broker, which is waited out."""
        try:
            while True:
                await self._changed.wait()
                await self._keep()
                if cancelled():
                    raise asyncio.CancelledError
        except asyncio.CancelledError:
            await asyncio.shield(self._keep_last())
            raise

    async def finish(self, checkpoint: ShardCheckpoint) -> None:
        """Keep this one, the last; return when it is kept."""
        self.put(checkpoint)
        while self._newest is not None:
            await self._keep()

    async def _keep(self) -> None:
        self._changed.clear()
        newest, self._newest = self._newest, None
        if newest is None:
            return
        try:
            await self._save(newest)
        except BrokerUnavailable as error:
            log.warning("checkpoint_not_kept", extra={"reason": str(error)})
            self._put_back(newest)
            await asyncio.sleep(_RETRY_SECONDS)
        except asyncio.CancelledError:
            self._put_back(newest)
            raise

    def _put_back(self, checkpoint: ShardCheckpoint) -> None:
        if self._newest is None:
            self.put(checkpoint)

    async def _keep_last(self) -> None:
        """On the way out: one attempt. Should it fail, what was done since the last one is done again."""
        if self._newest is None:
            return
        try:
            async with asyncio.timeout(_LAST_SAVE_SECONDS):
                await self._save(self._newest)
        except Exception as error:  # whatever it is, we are being cancelled, and that goes on
            log.warning("checkpoint_not_kept", extra={"reason": str(error) or type(error).__name__})
