"""The worker's side of a branch of a zygote: one template with its copies, as a slot for their processes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from worker.sandbox.ephemeral_storage import EphemeralStorage
from worker.sandbox.inside.cgroups import Cgroups
from worker.sandbox.interface import SandboxUnavailable
from worker.sandbox.zygote_connection import Event, ZygoteConnection
from worker.sandbox.zygote_slot import ZygoteSlot

BRANCH_SECONDS = 10.0


class BranchSlot:
    """Where the processes of one template live. All of them have the same `uid`, which is given back when the
    last of them is gone. `on_lost` is called when the branch has died, and with it every process."""

    def __init__(
        self, stem: ZygoteSlot, uid: int, on_event: Callable[[Event], None], on_lost: Callable[[], None]
    ) -> None:
        self.stem = stem
        self.uid = uid
        self._on_event = on_event
        self._on_lost = on_lost
        self._connection: BranchConnection | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def cgroups(self) -> Cgroups | None:
        """Those of the zygote."""
        return self.stem.cgroups

    @property
    def storage(self) -> EphemeralStorage | None:
        """That of the zygote."""
        return self.stem.storage

    async def grow(self) -> None:
        """Have the zygote make it. Raises SandboxUnavailable."""
        zygote = await self.stem.connection()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._connection = BranchConnection(ours, self._on_event, self._lost)
        try:
            await zygote.send({"request": "branch"}, [theirs.fileno()])
            async with asyncio.timeout(BRANCH_SECONDS):
                await self._connection.ready()
        except (TimeoutError, ConnectionError) as error:
            raise SandboxUnavailable(f"the zygote made no branch: {error}") from error
        finally:
            theirs.close()

    async def connection(self) -> ZygoteConnection:
        """Raises SandboxUnavailable once it is closed or lost."""
        if self._connection is None:
            raise SandboxUnavailable("the branch has ended")
        return self._connection

    async def close(self) -> None:
        """End it and everything in it; returns when nothing is left. Idempotent."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="close branch")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        if self.uid and self.stem.block is not None:
            self.stem.block.give_back(self.uid)

    def _lost(self) -> None:
        self._connection = None
        self._on_lost()


class BranchConnection(ZygoteConnection):
    """The control socket of a branch, which is no child of this process."""

    def __init__(
        self, control: socket.socket, on_event: Callable[[Event], None], on_lost: Callable[[], None]
    ) -> None:
        super().__init__(None, control, on_event, on_lost)
        self._ended = asyncio.Event()

    async def ready(self) -> None:
        """Raises SandboxUnavailable."""
        await self._ready

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
