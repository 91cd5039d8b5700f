"""A message that was received and is not settled yet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Message:
    """One receive of one message. Times are of the loop's clock, in seconds."""

    id: str
    receipt_handle: str
    group: str
    """Message group of a FIFO queue, else empty."""
    record: bytes
    """Encoded for the function's event."""
    trace_header: str
    received_at: float
    hidden_until: float
    """Before this, nobody else receives it; moved on while it is held."""
