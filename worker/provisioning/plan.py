"""How workers share what is to be kept initialised: pure, and the same for everybody who knows the same.

Each worker plans for all and does its own part; so nobody leads, and nothing is handed over when one comes or
goes. Views of the fleet differ for a second at most, in which a few environments too many may start.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence

from broker.interface import IMAGES
from broker.provisioning.model import Announcement
from broker.registry.provisioned import Demand

Plan = Mapping[str, Mapping[str, int]]
"""How many environments of each configuration (by `Demand.key`) each worker keeps."""


def plan(demands: Iterable[Demand], workers: Sequence[Announcement]) -> Plan:
    """Evenly, as far as each worker has the runtime and the memory; in an order that favours no worker."""
    free_mb = {worker.worker: worker.memory_mb for worker in workers}
    planned: dict[str, dict[str, int]] = {worker: {} for worker in free_mb}
    for demand in sorted(demands, key=lambda demand: demand.key):
        able = [worker.worker for worker in workers if _can_run(worker, demand)]
        able.sort(key=lambda worker: zlib.crc32(f"{demand.key} {worker}".encode()))
        for worker, count in _shares(demand, able, free_mb).items():
            planned[worker][demand.key] = count
            free_mb[worker] -= count * demand.config.memory_mb
    return planned


def planned_in_all(planned: Plan, key: str) -> int:
    """How many environments of a configuration the whole fleet has room for."""
    return sum(shares.get(key, 0) for shares in planned.values())


def kept(share: int, held: int, count: int, held_by_others: int) -> int:
    """How many a worker keeps: its share, and more as long as others have not got theirs ready.

    So a newcomer's environments are initialised before the old ones are given up.
    """
    return max(share, min(held, count - held_by_others))


def _can_run(worker: Announcement, demand: Demand) -> bool:
    """An image brings its runtime along, but not every worker can run images."""
    wanted = IMAGES if demand.config.image is not None else demand.config.runtime
    return wanted in worker.runtimes


def _shares(demand: Demand, able: Sequence[str], free_mb: Mapping[str, int]) -> dict[str, int]:
    most = {worker: free_mb[worker] // demand.config.memory_mb for worker in able}
    shares = dict.fromkeys(able, 0)
    left = demand.count
    while left and (open_to_more := [worker for worker in able if shares[worker] < most[worker]]):
        each = max(1, left // len(open_to_more))
        for worker in open_to_more:
            more = min(each, left, most[worker] - shares[worker])
            shares[worker] += more
            left -= more
    return {worker: share for worker, share in shares.items() if share}
