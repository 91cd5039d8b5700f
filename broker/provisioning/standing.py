"""How far a configuration of provisioned concurrency has got, from what workers say: pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from broker.provisioning.model import Announcement, Holding
from broker.registry.model import FunctionRecord
from broker.registry.provisioned import configuration, demands, versions_of

Status = Literal["IN_PROGRESS", "READY", "FAILED"]


class Standing(msgspec.Struct, frozen=True):
    """The members of a provisioned concurrency config that change by themselves."""

    requested: int
    allocated: int
    """Environments that are initialised, over the whole fleet."""
    available: int
    """Those of them that run nothing at this moment."""
    status: Status
    reason: str = ""
    """Of a status FAILED."""


def standing(record: FunctionRecord, qualifier: str, announcements: Iterable[Announcement]) -> Standing:
    """How a qualifier's configuration stands. Raises QualifierNotFound, NoProvisionedConcurrency.

    Where several aliases want environments of one version, the first in the order of names counts first.
    """
    requested = configuration(record, qualifier).requested
    holdings = [holding for worker in announcements for holding in worker.holdings]
    allocated = available = 0
    failures: list[str] = []
    for demand in demands(record):
        wanted = versions_of(record, qualifier).get(demand.config.version, 0)
        ours = [holding for holding in holdings if holding.key == demand.key] if wanted else []
        before = _wanted_before(record, qualifier, demand.config.version)
        allocated += _share(sum(holding.initialised for holding in ours), before, wanted)
        available += _share(sum(holding.available for holding in ours), before, wanted)
        failures += _failures(ours, demand.revision)
    if allocated >= requested:
        return Standing(requested, allocated, min(available, allocated), "READY")
    status: Status = "FAILED" if failures else "IN_PROGRESS"
    return Standing(requested, allocated, min(available, allocated), status, next(iter(failures), ""))


def _wanted_before(record: FunctionRecord, qualifier: str, version: str) -> int:
    before = [other for other in record.provisioned if other < qualifier]
    return sum(versions_of(record, other).get(version, 0) for other in before)


def _share(held: int, before: int, wanted: int) -> int:
    return max(0, min(held - before, wanted))


def _failures(holdings: Sequence[Holding], revision: str) -> list[str]:
    """Those of other requests than the present ones say nothing."""
    return [holding.failure for holding in holdings if holding.failure and holding.revision == revision]
