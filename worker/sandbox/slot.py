"""Where processes are forked: a zygote or a branch of one, as long as it lives."""

from __future__ import annotations

from collections.abc import Callable

from worker.sandbox.ephemeral_storage import EphemeralStorage
from worker.sandbox.inside.cgroups import Cgroups
from worker.sandbox.interface import SandboxUnavailable
from worker.sandbox.uid_block import UidBlock
from worker.sandbox.zygote_connection import Event, ZygoteConnection


class Slot:
    """Holds the connection to it. `on_event` and `on_lost` are those of ZygoteConnection; by the time that
    `on_lost` is called there is no connection any more."""

    def __init__(self, on_event: Callable[[Event], None], on_lost: Callable[[], None]) -> None:
        self._on_event = on_event
        self._on_lost = on_lost
        self._connection: ZygoteConnection | None = None

    @property
    def cgroups(self) -> Cgroups | None:
        """The groups of its processes, where there are any."""
        raise NotImplementedError

    @property
    def storage(self) -> EphemeralStorage | None:
        """Of its processes; None where what is in /tmp counts as memory."""
        raise NotImplementedError

    @property
    def block(self) -> UidBlock | None:
        """Where its processes' user ids are from, if they have any of their own."""
        raise NotImplementedError

    async def connection(self) -> ZygoteConnection:
        """Raises SandboxUnavailable where there is none."""
        if self._connection is None:
            raise SandboxUnavailable("what it was to be forked from has ended")
        return self._connection

    def _lost(self) -> None:
        self._connection = None
        self._on_lost()
