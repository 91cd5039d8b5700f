"""Which workers there are to share provisioned concurrency, and what each holds.

`tests/contract/test_provisioning_store.py` holds every implementation to this. Nothing of it is durable:
workers say everything again within a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from broker.provisioning.model import Announcement


class ProvisioningStore(Protocol):
    """Announcements of workers, each until it lapses. Waiting calls raise BrokerUnavailable."""

    async def start(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """Disconnect. Idempotent."""

    async def announce(self, announcement: Announcement, ttl_ms: int) -> Sequence[Announcement]:
        """Say that a worker is there, for another `ttl_ms` by the store's clock, in place of what it said
        before. All that are there, this one included."""

    async def withdraw(self, worker: str) -> None:
        """It is there no more; unknown ones are fine."""

    async def announcements(self) -> Sequence[Announcement]:
        """All that are there."""
