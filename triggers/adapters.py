"""Which adapter serves which kind of trigger."""

from __future__ import annotations

from collections.abc import Mapping

from triggers.interface import Adapter


def make_adapters() -> Mapping[str, Adapter]:
    """One adapter for each kind that is served by this process; kinds that are missing are left alone."""
    return {}
