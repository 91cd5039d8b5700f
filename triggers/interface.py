"""What a kind of trigger is made of: its settings, and an adapter that serves one trigger at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import msgspec

from broker.caller import Caller, Target
from broker.registry.interface import Registry
from broker.settings import Settings
from broker.trigger_store.interface import TriggerStore
from broker.trigger_store.model import TriggerRecord


class TriggerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every kind's settings. `__post_init__` raises ValueError for a wrong value, which it names."""

    def masked(self) -> Self:
        """As it may be shown to anybody who may list triggers: without secrets."""
        return self

    @property
    def exclusive_key(self) -> str:
        """Two triggers of a kind cannot have the same; empty where a kind does not care."""
        return ""


class LeaseGone(Exception):
    """This process does not serve the trigger any more: stop, and settle nothing further."""


@dataclass(frozen=True, slots=True)
class RunningTrigger:
    """One trigger in the hands of the process that serves it, and what its adapter works with."""

    record: TriggerRecord
    owner: str
    """Holds the trigger's lease; guards its checkpoints."""
    caller: Caller
    registry: Registry
    store: TriggerStore
    settings: Settings
    report: Callable[[str], None]
    """Keep what the source or the function said last, e.g. `OK`, `No records processed`, `PROBLEM: ...`.
    Costs nothing: the supervisor stores what changed once a second."""

    @property
    def target(self) -> Target:
        """The function to call."""
        return Target(self.record.function_name, self.record.qualifier)

    async def checkpoints(self) -> Mapping[str, bytes]:
        """How far it had come, by names of the adapter's own. Raises BrokerUnavailable."""
        return await self.store.checkpoints(self.record.id)

    async def save_checkpoints(self, checkpoints: Mapping[str, bytes | None]) -> None:
        """Keep how far it has come; None forgets one. Raises LeaseGone, BrokerUnavailable."""
        if not await self.store.save_checkpoints(self.owner, self.record.id, checkpoints):
            raise LeaseGone(f"trigger {self.record.id} is served by another process")


class Adapter(Protocol):
    """Serves triggers of one kind, each in a task of its own."""

    async def run(self, trigger: RunningTrigger) -> None:
        """Serve `trigger` until cancelled.

        It recovers by itself while its source is away (back off, `report` the problem). What it raises is
        reported, and it is started again with back-off; LeaseGone ends it quietly. Cancelled (the trigger
        was changed, disabled or handed to another process, or this one drains) it settles what it can
        within a few seconds, and leaves the rest to its source to deliver again.
        """
