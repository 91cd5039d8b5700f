"""JSON that somebody else wrote."""

from __future__ import annotations

UNREADABLE = (ValueError, RecursionError)
"""What decoding it may raise: it is no JSON or has another shape (msgspec's errors are ValueErrors), it is no
UTF-8, or it is nested without end."""
