"""Keeps one zygote for one interpreter: launched when first needed, again when it has died."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from worker.sandbox.ephemeral_storage import EphemeralStorage
from worker.sandbox.held_opens import HeldOpens
from worker.sandbox.inside.cgroups import Cgroups
from worker.sandbox.interface import SandboxUnavailable
from worker.sandbox.interpreters import Interpreter
from worker.sandbox.slot import Slot
from worker.sandbox.uid_block import UidBlock
from worker.sandbox.zygote_connection import Event, ZygoteConnection

logger = logging.getLogger(__name__)


class ZygoteSlot(Slot):
    """The place of one zygote, with the uids of its environments.

    `configuration` is that of ZygoteConnection. `own_uids`, `private_mounts`,
    `own_root`, `own_loopback`, `cgroups` and `weaknesses` say what the zygote found possible; they hold after
    the first `connection`.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        block: UidBlock | None,
        configuration: Mapping[str, Any],
        on_event: Callable[[Event], None],
        on_lost: Callable[[], None],
    ) -> None:
        super().__init__(on_event, on_lost)
        self.interpreter = interpreter
        self._block = block
        self._configuration = configuration
        self.own_uids = False
        self.private_mounts = False
        self.own_root = False
        self.own_loopback = False
        self._cgroups: Cgroups | None = None
        self._storage: EphemeralStorage | None = None
        self._no_storage = ""
        self.weaknesses: tuple[str, ...] = ()
        self.packages: frozenset[str] = frozenset()
        """Top-level modules that it has imported from the runtime's library."""
        self.package_problems: tuple[str, ...] = ()
        self._launching = asyncio.Lock()
        self._closed = False
        self._burials: set[asyncio.Task[None]] = set()

    @property
    def cgroups(self) -> Cgroups | None:
        """Known after the first `connection`."""
        return self._cgroups

    @property
    def storage(self) -> EphemeralStorage | None:
        """None where what is in /tmp counts as memory."""
        return self._storage

    @property
    def block(self) -> UidBlock | None:
        """None once it is closed."""
        return self._block

    @property
    def zygote_pid(self) -> int:
        """Pid of the zygote that runs at present, 0 without one."""
        return self._connection.pid if self._connection else 0

    async def connection(self) -> ZygoteConnection:
        """The zygote, launched if there is none. Raises SandboxUnavailable."""
        if self._connection is not None:
            return self._connection
        async with self._launching:
            return self._connection or await self._launch()

    async def close(self) -> None:
        """End the zygote and all that it forked. Idempotent."""
        self._closed = True
        async with self._launching:
            connection, self._connection = self._connection, None
            if connection is not None:
                await connection.close()
            await asyncio.gather(*self._burials)
            block, self._block = self._block, None
            if block is not None:
                block.close()
            storage, self._storage = self._storage, None
            if storage is not None:
                storage.close()

    async def _launch(self) -> ZygoteConnection:
        if self._closed:
            raise SandboxUnavailable("the sandbox is closed")
        configuration = {**self._configuration, "storage_listener": self._listen()}
        connection, ready = await ZygoteConnection.launch(
            self.interpreter, self._block, configuration, self._on_event, self._lost
        )
        if ready["version"] != self.interpreter.version:
            await connection.close()
            raise SandboxUnavailable(f"{self.interpreter.path} is Python {ready['version']}")
        self.own_uids, self.private_mounts = ready["own_uid"], ready["private_mounts"]
        self.own_root, self.weaknesses = ready["own_root"], tuple(ready["weaknesses"])
        self.own_loopback = ready["own_loopback"]
        self.packages = frozenset(ready["packages"])
        self.package_problems = tuple(ready["package_problems"])
        self._cgroups = Cgroups(ready["groups"]) if ready["groups"] else None
        if self._storage is not None:
            self._storage.cgroups = self._cgroups
        elif self._configuration["level"] == "L3":
            self.weaknesses += (f"files in /tmp count as memory: {self._no_storage}",)
        self._connection = connection
        return connection

    def _listen(self) -> int:
        """A descriptor by which this process hears of the first use of each /tmp; -1 where it cannot."""
        if self._configuration["level"] != "L3":
            return -1
        if self._storage is None:
            try:
                self._storage = EphemeralStorage(HeldOpens(Path(self._configuration["scratch"])))
            except OSError as error:
                self._no_storage = str(error)
                return -1
        self._storage.cgroups = None
        return self._storage.descriptor

    def _lost(self) -> None:
        logger.error("zygote died", extra={"interpreter": str(self.interpreter.path)})
        if (lost := self._connection) is not None:
            self._burials.add(burial := asyncio.create_task(lost.close(), name="bury zygote"))
            burial.add_done_callback(self._burials.discard)
        super()._lost()
