"""Tumbling windows of a shard: to which one a record belongs, and its state from run to run. Pure.

Source: "Implementing stateful DynamoDB stream processing in Lambda". Windows are aligned to the epoch. A
state above 1 MB ends its window early; what follows goes on in the same window with a fresh state.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from triggers.event_source_mapping.streams.records import StreamRecord
from triggers.event_source_mapping.streams.responses import EMPTY_STATE
from triggers.events.dynamodb import Window

MOST_STATE_BYTES = 1_048_576


class OpenWindow(msgspec.Struct, frozen=True):
    """The window that is being filled, and what the function made of it so far."""

    window: Window
    state: msgspec.Raw = EMPTY_STATE

    @property
    def is_oversized(self) -> bool:
        return len(bytes(self.state)) > MOST_STATE_BYTES


def window_at(seconds: float, width_seconds: int) -> Window:
    """The window of a moment."""
    start = int(seconds) // width_seconds * width_seconds
    return Window(start, start + width_seconds)


def leading(records: Sequence[StreamRecord], window: Window) -> int:
    """How many of the first records belong to `window`; those that come late for an earlier one do too."""
    count = 0
    for record in records:
        if record.created_seconds >= window.end:
            break
        count += 1
    return count
