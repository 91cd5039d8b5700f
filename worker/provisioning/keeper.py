"""Keeps this worker's share of provisioned concurrency: look what is asked for, plan with the others, do it.

Twice a second the keeper tells the fleet what this worker holds and hears what the others hold; from that and
the registry every worker makes the same plan. When a worker dies, its announcement lapses and the others
share anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from broker.errors import BrokerError, FunctionNotFound
from broker.provisioning.interface import ProvisioningStore
from broker.provisioning.model import Announcement, Holding
from broker.registry.interface import Registry
from broker.registry.provisioned import Demand, demands
from worker.environments.interface import EnvironmentSpec
from worker.environments.pool import Pool
from worker.environments.provision import Provision
from worker.environments.room import NoRoom
from worker.environments.turnover import NotStarted
from worker.functions import Functions
from worker.provisioning.neighbours import Neighbours
from worker.provisioning.offers import Offer, Offers
from worker.provisioning.plan import Plan, kept, plan, planned_in_all
from worker.provisioning.specs import Specs

log = logging.getLogger(__name__)

TICK_SECONDS = 0.5
ANNOUNCED_MS = 3_000
"""How long the others count on a worker that says no more."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 60.0
"""After an init that failed; each further failure doubles the pause."""
PROVISIONABLE = 0.75
"""Share of a worker's memory for provisioned environments; the rest stays for what nobody foresaw."""

INIT_FAILURE = "FUNCTION_ERROR_INIT_FAILURE"
"""As AWS says it where a function's own init fails."""


@dataclass(frozen=True, slots=True)
class Host:
    """What a worker is to the others."""

    worker: str
    memory_mb: int
    runtimes: Callable[[], tuple[str, ...]]


@dataclass(slots=True)
class Job:
    """One demand that this worker works for."""

    demand: Demand
    spec: EnvironmentSpec
    provision: Provision = field(default_factory=Provision)
    failure: str = ""
    pause_seconds: float = FIRST_RETRY_SECONDS
    retry_at: float | None = None

    def holding(self) -> Holding:
        provision, demand = self.provision, self.demand
        return Holding(demand.key, provision.initialised, provision.available, demand.revision, self.failure)


class Keeper:
    """Run one in each worker; cancel it before the worker drains, so that others take over at once."""

    def __init__(
        self,
        host: Host,
        store: ProvisioningStore,
        registry: Registry,
        functions: Functions,
        pool: Pool,
        offer: Offer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._store = store
        self._registry = registry
        self._specs = Specs(functions)
        self._pool = pool
        self._offers = Offers(offer)
        self._clock = clock
        self._neighbours = Neighbours()
        self._jobs: dict[str, Job] = {}
        self._waits = False

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self._tick_or_wait()
                await asyncio.sleep(TICK_SECONDS)
        finally:
            with contextlib.suppress(BrokerError):
                await self._store.withdraw(self._host.worker)
            await self._specs.aclose()

    async def _tick_or_wait(self) -> None:
        try:
            await self.tick()
            self._waits = False
        except BrokerError as error:
            if not self._waits:
                log.warning("provisioning_waits", extra={"reason": str(error)})
            self._waits = True

    async def tick(self) -> None:
        """Look, tell, hear, plan, do. Raises BrokerUnavailable."""
        wanted = await self._demands()
        holdings = tuple(job.holding() for job in self._jobs.values())
        host = self._host
        said = Announcement(host.worker, _provisionable_mb(host), host.runtimes(), holdings)
        fleet = await self._store.announce(said, ANNOUNCED_MS)
        if not self._neighbours.believed((other.worker for other in fleet), self._clock()):
            self._give_nothing_up()
            return
        planned = plan(wanted, fleet)
        for key in self._jobs.keys() - {demand.key for demand in wanted}:
            self._drop(self._jobs.pop(key))
        await self._take_up([demand for demand in wanted if self._is_news(demand, planned)])
        for demand in wanted:
            if demand.key in self._jobs:
                self._follow(self._jobs[demand.key], demand, planned, fleet)

    async def _demands(self) -> list[Demand]:
        wanted: list[Demand] = []
        for name in await self._registry.provisioned_names():
            with contextlib.suppress(FunctionNotFound):
                wanted += demands(await self._registry.get(name))
        return wanted

    def _share(self, demand: Demand, planned: Plan) -> int:
        return planned.get(self._host.worker, {}).get(demand.key, 0)

    def _is_news(self, demand: Demand, planned: Plan) -> bool:
        """There is something to do, or to complain of, and nothing is known of it yet."""
        lacks_room = planned_in_all(planned, demand.key) != demand.count
        return demand.key not in self._jobs and (self._share(demand, planned) > 0 or lacks_room)

    async def _take_up(self, news: Sequence[Demand]) -> None:
        specs = await self._specs.find(news)
        for demand in news:
            if demand.key in specs:
                self._jobs[demand.key] = Job(demand, specs[demand.key])

    def _follow(self, job: Job, demand: Demand, planned: Plan, fleet: Sequence[Announcement]) -> None:
        share = self._share(demand, planned)
        room = planned_in_all(planned, demand.key)
        if job.demand.revision != demand.revision:
            job.failure, job.retry_at, job.pause_seconds = "", None, FIRST_RETRY_SECONDS
            job.provision.failure = None
        job.demand = demand
        others = _initialised_by_others(fleet, self._host.worker, demand.key)
        self._work(job, kept(share, job.provision.initialised, demand.count, others))
        if room < demand.count and not job.failure:
            job.failure = _no_room(demand, room)

    def _work(self, job: Job, count: int) -> None:
        self._maybe_retry(job)
        count = self._announced(job, count)
        try:
            job.provision = self._pool.provision(job.demand.key, job.spec, count)
        except NoRoom as error:
            job.failure = str(error)
            return
        if count:
            self._offers.follow(job.demand, job.provision)
        else:
            self._offers.drop(job.demand, job.provision)
        if job.provision.failure is not None:
            job.failure = _words(job.provision.failure)
        elif job.provision.initialised >= count:
            job.failure, job.pause_seconds = "", FIRST_RETRY_SECONDS

    def _announced(self, job: Job, count: int) -> int:
        """`count`; fewer than before only from the next turn on, so that no call is on its way to one."""
        provision = job.provision
        surplus = max(0, provision.count - count)
        if surplus > provision.leaving:
            provision.leaving = surplus
            return provision.count
        provision.leaving = 0
        return count

    def _give_nothing_up(self) -> None:
        """What was to go was to be replaced by others, who may be gone."""
        for job in self._jobs.values():
            if job.provision.leaving:
                job.provision.leaving = 0
                job.provision.changed()

    def _maybe_retry(self, job: Job) -> None:
        now = self._clock()
        if job.provision.failure is None:
            return
        if job.retry_at is None:
            log.warning("not_provisioned", extra={"function": job.demand.key, "reason": job.failure})
            job.retry_at = now + job.pause_seconds
            job.pause_seconds = min(2 * job.pause_seconds, LAST_RETRY_SECONDS)
        elif now >= job.retry_at:
            job.provision.failure, job.retry_at = None, None

    def _drop(self, job: Job) -> None:
        self._pool.provision(job.demand.key, job.spec, 0)
        self._offers.drop(job.demand, job.provision)


def _provisionable_mb(host: Host) -> int:
    return int(host.memory_mb * PROVISIONABLE)


def _initialised_by_others(fleet: Sequence[Announcement], worker: str, key: str) -> int:
    others = [holding for said in fleet if said.worker != worker for holding in said.holdings]
    return sum(holding.initialised for holding in others if holding.key == key)


def _no_room(demand: Demand, room: int) -> str:
    config = demand.config
    return (
        f"The workers have room for {room} of {demand.count} environments of {config.memory_mb} MB"
        f" (runtime {config.runtime})"
    )


def _words(failure: Exception) -> str:
    return INIT_FAILURE if isinstance(failure, NotStarted) else str(failure)
