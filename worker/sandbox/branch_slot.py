"""The worker's side of a branch of a zygote: a place for processes that are forked from it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from typing import Any

from worker.sandbox.ephemeral_storage import EphemeralStorage
from worker.sandbox.inside.cgroups import Cgroups
from worker.sandbox.interface import SandboxUnavailable
from worker.sandbox.slot import Slot
from worker.sandbox.uid_block import UidBlock
from worker.sandbox.zygote_connection import Event, ZygoteConnection
from worker.sandbox.zygote_slot import ZygoteSlot

BRANCH_SECONDS = 10.0


class BranchSlot(Slot):
    """Where processes of one kind live, e.g. a template with its copies. `on_lost` is called when the branch
    has died, and with it every process."""

    def __init__(
        self, stem: ZygoteSlot, on_event: Callable[[Event], None], on_lost: Callable[[], None]
    ) -> None:
        super().__init__(on_event, on_lost)
        self.stem = stem
        self._closing: asyncio.Task[None] | None = None

    @property
    def cgroups(self) -> Cgroups | None:
        """Those of the zygote."""
        return self.stem.cgroups

    @property
    def storage(self) -> EphemeralStorage | None:
        """That of the zygote."""
        return self.stem.storage

    @property
    def block(self) -> UidBlock | None:
        """The zygote's."""
        return self.stem.block

    async def grow(self, request: Mapping[str, Any], within_seconds: float = BRANCH_SECONDS) -> Event:
        """Have the zygote make it; what it says of itself. Raises SandboxUnavailable."""
        zygote = await self.stem.connection()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._connection = connection = BranchConnection(ours, self._on_event, self._lost)
        try:
            await zygote.send(request, [theirs.fileno()])
            # Not kept open: the branch's end must be heard.
            theirs.close()
            async with asyncio.timeout(within_seconds):
                return await connection.ready()
        except (TimeoutError, ConnectionError) as error:
            raise SandboxUnavailable(f"the zygote made no branch: {error}") from error
        finally:
            theirs.close()

    async def close(self) -> None:
        """End it and everything in it; returns when nothing is left. Idempotent."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="close branch")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


class TemplateSlot(BranchSlot):
    """One SnapStart template with its copies. All of them have the same `uid`, which is given back when the
    last of them is gone."""

    def __init__(
        self, stem: ZygoteSlot, uid: int, on_event: Callable[[Event], None], on_lost: Callable[[], None]
    ) -> None:
        super().__init__(stem, on_event, on_lost)
        self.uid = uid

    async def _close(self) -> None:
        await super()._close()
        if self.uid and self.block is not None:
            self.block.give_back(self.uid)


class BranchConnection(ZygoteConnection):
    """The control socket of a branch, which is no child of this process."""

    def __init__(
        self, control: socket.socket, on_event: Callable[[Event], None], on_lost: Callable[[], None]
    ) -> None:
        super().__init__(None, control, on_event, on_lost)
        self._ended = asyncio.Event()

    async def ready(self) -> Event:
        """Raises SandboxUnavailable."""
        return await self._ready

    async def close(self) -> None:
        """Hang up, and wait until the other end is closed, too: it is the last thing that a branch does."""
        if self._control.fileno() >= 0:
            self._closed = True
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_WR)
            await self._ended.wait()

    def _lost(self) -> None:
        self._ended.set()
        super()._lost()
