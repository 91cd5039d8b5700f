"""The trigger store's contract, held by `tests/contract/test_trigger_store.py` for every implementation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from broker.trigger_store.model import Changes, TriggerRecord, TriggerStatus

Change = Callable[[TriggerRecord], TriggerRecord]
"""A pure step from one record to the next; may raise, then nothing is stored; may be called again."""


class Leases(Protocol):
    """Who serves which trigger. An owner is one process, under a name that is fresh at every start.

    Times are the store's own clock, so processes need not agree on one. All raise BrokerUnavailable.
    """

    async def attend(self, owner: str, ttl_ms: int) -> int:
        """Say that `owner` is there for another `ttl_ms`; how many owners are, this one included."""

    async def claim(
        self, owner: str, trigger_ids: Sequence[str], ttl_ms: int, most_new: int
    ) -> frozenset[str]:
        """Renew what `owner` holds of these and take up to `most_new` that nobody holds; all it then holds
        of them. What it had held and is not in the answer has gone to another owner."""

    async def release(self, owner: str, trigger_ids: Sequence[str]) -> None:
        """Give them up at once; those of other owners stay."""

    async def leave(self, owner: str) -> None:
        """`owner` attends no more; its leases lapse by themselves unless they are released."""


class TriggerStore(Leases, Protocol):
    """Triggers, how they fare, who serves them, and how far each has read its source.

    All waiting calls raise BrokerUnavailable while the server is away, and work again when it is back.
    """

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailable."""

    async def close(self) -> None:
        """Disconnect. Idempotent."""

    async def create(self, record: TriggerRecord) -> TriggerRecord:
        """Store a new trigger; its `generation` is replaced. Raises TriggerExists."""

    async def get(self, trigger_id: str) -> TriggerRecord:
        """Raises TriggerNotFound."""

    async def update(self, trigger_id: str, change: Change) -> TriggerRecord:
        """Compare-and-set loop over `change`. Raises TriggerNotFound and whatever `change` raises."""

    async def delete(self, trigger_id: str) -> None:
        """Forget a trigger, its status and its checkpoints. Raises TriggerNotFound."""

    async def changes(self, since: int) -> Changes:
        """What changed after generation `since`; 0 gives all triggers. Cheap where nothing did."""

    async def put_statuses(self, statuses: Mapping[str, TriggerStatus]) -> None:
        """Keep how these triggers fare; ids that do not exist (any more) are skipped."""

    async def statuses(self, trigger_ids: Sequence[str]) -> Mapping[str, TriggerStatus]:
        """How these fare; those that nobody has spoken of are missing."""

    async def checkpoints(self, trigger_id: str) -> Mapping[str, bytes]:
        """Everything kept by `save_checkpoints`, by name."""

    async def save_checkpoints(
        self, owner: str, trigger_id: str, checkpoints: Mapping[str, bytes | None]
    ) -> bool:
        """Keep (or, with None, forget) checkpoints by name, all or none; False, and nothing is kept, where
        `owner` does not hold the trigger's lease (any more)."""
