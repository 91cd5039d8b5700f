"""What workers tell each other about provisioned environments."""

from __future__ import annotations

import msgspec


class Holding(msgspec.Struct, frozen=True, array_like=True):
    """What one worker has of one configuration of a version."""

    key: str
    """As `broker.registry.provisioned.Demand.key`."""
    initialised: int
    available: int
    """Initialised and without work at this moment."""
    revision: str
    """Of the demand that this worker works for."""
    failure: str = ""
    """Why it has fewer than it should, in AWS's words; empty while it has no reason to give up."""


class Announcement(msgspec.Struct, frozen=True, array_like=True):
    """One worker that is there, what it could hold and what it holds."""

    worker: str
    """Its epoch: fresh at every start."""
    memory_mb: int
    """For provisioned environments, all together."""
    runtimes: tuple[str, ...]
    holdings: tuple[Holding, ...] = ()
