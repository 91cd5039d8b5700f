"""One message of a queue, as every source hands it on, and what a source can do with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

FAILURES_HEADER = "x-lightswitch-failures"
"""On a copy that was put back or set aside: how often the function failed with it."""
REASON_HEADER = "x-lightswitch-reason"
QUEUE_HEADER = "x-lightswitch-queue"
"""On a dead letter: why, and from which queue."""


class SourceUnavailable(Exception):
    """The queue's server is away or refuses us; unsettled messages come again. The text has no secret."""


class NotPlaced(Exception):
    """A message could not be put where it belongs (a full or missing dead-letter queue); it is still ours."""


@dataclass(frozen=True, slots=True, eq=False)
class QueueMessage:
    """Bytes as the producer wrote them. `failures`: how often a function failed with it before.

    `token` is the source's own handle. `item_identifier` is unique among messages in hand.
    """

    body: bytes
    item_identifier: str
    token: Any
    headers: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    redelivered: bool = False
    failures: int = 0


class QueueSource(Protocol):
    """One connection to one queue. All raise SourceUnavailable, after which the source is only closed.

    A message that was received stays ours until it is settled by one of `ack`, `retry`, `dead_letter`; when
    the connection ends first, the server delivers it again.
    """

    async def receive(self, most: int, wait_seconds: float | None) -> Sequence[QueueMessage]:
        """Up to `most` messages, as soon as there is one; none after `wait_seconds` (None: never give up).

        Cancelling loses nothing.
        """

    async def ack(self, messages: Sequence[QueueMessage]) -> None:
        """Forget them."""

    async def retry(self, message: QueueMessage) -> None:
        """Put it at the end of its queue with one more failure, then forget this copy. Raises NotPlaced."""

    async def dead_letter(self, message: QueueMessage, reason: str) -> None:
        """Put it into the dead-letter queue, be sure that it is there, then forget it. Raises NotPlaced."""

    async def close(self) -> None:
        """Give back everything that is not settled. Idempotent, never raises."""
