"""The memory that webhooks and scans of one bucket share. `tests/contract/test_object_states.py` holds it.

It is kept in two parts. **Pages** hold, in the order of keys, every object that a scan has found, packed.
**Notes** are what webhooks (and scans, of removals) saw lately, one by one; a note outweighs its page. A
scan folds notes into pages once they are too old for a late webhook to repeat them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from broker.object_states.model import ObjectState


class Stretch(msgspec.Struct, frozen=True):
    """What is known of the keys after `after` up to and with `upto` (None: to the end).

    `states` is in the order of keys, notes applied, removed objects among them. `pages` names the pages
    that were read, `before` and `rest` are what they hold on either side of the stretch, `notes` are the
    notes as read.
    """

    after: str
    upto: str | None
    states: Mapping[str, ObjectState]
    pages: tuple[bytes, ...]
    before: Mapping[str, ObjectState]
    rest: Mapping[str, ObjectState]
    notes: Mapping[str, bytes]


class ObjectStates(Protocol):
    """States by trigger id and key. All raise BrokerUnavailable."""

    async def now_ms(self) -> int:
        """The clock of `noted_ms`."""

    async def lock(self, trigger_id: str, keys: Sequence[str], seconds: float) -> frozenset[str]:
        """Have these objects to oneself for `seconds`; those that nobody else has."""

    async def unlock(self, trigger_id: str, keys: Sequence[str]) -> None:
        """Let others have them."""

    async def find(self, trigger_id: str, key: str) -> ObjectState | None:
        """What is known of one object."""

    async def notes(self, trigger_id: str, keys: Sequence[str]) -> Mapping[str, ObjectState]:
        """The notes of those objects that have one."""

    async def note(self, trigger_id: str, key: str, state: ObjectState) -> None:
        """Write a note; nothing happens where the trigger is gone."""

    async def read(self, trigger_id: str, after: str, upto: str | None) -> Stretch:
        """What is known of a stretch of keys. Ends sooner than `upto` where that would be very much."""

    async def replace(
        self,
        owner: str,
        trigger_id: str,
        stretch: Stretch,
        states: Mapping[str, ObjectState],
        notes: Mapping[str, ObjectState | None],
    ) -> bool:
        """Make the stretch's page hold `states`, write `notes` and drop those that are None.

        A note that changed since the stretch was read stays. False, and nothing is written, where `owner`
        does not hold the trigger's lease.
        """

    async def trim(self, trigger_id: str, before_ms: int) -> None:
        """Drop the notes from before that time, for triggers that no scan folds."""

    async def forget(self, trigger_id: str) -> None:
        """Everything of a trigger."""
