"""Moves delayed messages when they are due and gives the messages of dead workers to others.

Every process runs one; a lease in Redis lets one of them work at a time. A lapsed lease alone kills
nobody: after an outage of Redis all leases have lapsed, so a worker must stay silent for a grace during
which this janitor was connected all along.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import time

from broker.errors import BrokerUnavailable
from broker.invocation import Reply
from broker.redis_broker.envelope import Undecodable, read
from broker.redis_broker.inbox import RedisReplies
from broker.redis_broker.link import Link, volatile_prefix

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
GRACE_SECONDS = 1.5
_LOCK_MS = 2_000


class Janitor:
    """Start with `run` as a task; cancel to stop."""

    def __init__(self, link: Link, replies: RedisReplies, namespace: str) -> None:
        self._link = link
        self._replies = replies
        self._namespace = namespace
        self._name = secrets.token_hex(8)
        self._silent_since: dict[str, float] = {}
        self._swept_run = ""

    async def run(self) -> None:
        """Tidy until cancelled; an unreachable Redis is waited out."""
        while True:
            try:
                await self._tidy()
            except BrokerUnavailable as error:
                self._silent_since.clear()
                log.debug("janitor_waits", extra={"reason": str(error)})
            await asyncio.sleep(TICK_SECONDS * random.uniform(0.8, 1.2))

    async def _tidy(self) -> None:
        lapsed = await self._link.run("tidy", self._namespace, self._name, _LOCK_MS)
        if not isinstance(lapsed, list):
            self._silent_since.clear()  # another janitor is at work
            return
        if self._swept_run != self._link.run_id:
            await self._forget_former_run()
        now = time.monotonic()
        epochs = {epoch.decode() for epoch in lapsed}
        self._silent_since = {epoch: self._silent_since.get(epoch, now) for epoch in epochs}
        for epoch in [e for e, since in self._silent_since.items() if now - since >= GRACE_SECONDS]:
            await self._reclaim(epoch)

    async def _forget_former_run(self) -> None:
        """Delete what a rewrite of the append-only file saved of sync invocations before a restart."""
        run_id, last_run = self._link.run_id, f"{self._namespace}:last_run"
        former = await self._link.call("GET", last_run)
        if isinstance(former, bytes) and former.decode() != run_id:
            await self._delete(f"{volatile_prefix(self._namespace, former.decode())}:*")
        if former is None or former != run_id.encode():
            await self._link.call("SET", last_run, run_id)
        self._swept_run = run_id

    async def _delete(self, pattern: str) -> None:
        cursor: object = b"0"
        while True:
            page = await self._link.call("SCAN", cursor, "MATCH", pattern, "COUNT", 512)  # type: ignore[arg-type]
            assert isinstance(page, list)
            cursor, keys = page
            if keys:
                await self._link.call("UNLINK", *keys)
            if cursor == b"0":
                return

    async def _reclaim(self, epoch: str) -> None:
        unanswered = await self._link.run("reclaim", self._namespace, epoch)
        assert isinstance(unanswered, list)
        log.warning("worker_lost", extra={"epoch": epoch, "sync_invocations_failed": len(unanswered)})
        for value in unanswered:
            with contextlib.suppress(Undecodable):
                self._answer(value)

    def _answer(self, value: bytes) -> None:
        invocation = read(value).invocation
        if invocation.reply_to:
            reason = b"The worker that ran the function was lost."
            self._replies.send(invocation.reply_to, Reply(invocation.request_id, reason, "Platform"))
