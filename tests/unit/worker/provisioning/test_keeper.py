"""Several keepers share what is asked for; each has a pool whose environments the test starts by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from broker.errors import CodeNotFound, FunctionNotFound
from broker.provisioning.memory_store import MemoryProvisioningStore
from broker.provisioning.standing import Standing, standing
from broker.registry.memory_registry import Memory, MemoryRegistry
from broker.registry.model import FunctionRecord
from broker.registry.provisioned import demands
from broker.settings import Settings
from tests.provisioned_functions import function
from tests.unit.worker.manual_environments import ManualFactory, settle, spec
from tests.waiting import until
from worker.environments.interface import InitFailed
from worker.environments.pool import Pool
from worker.environments.room import PoolLimits
from worker.functions import Functions
from worker.journal import Journal
from worker.provisioning import specs
from worker.provisioning.keeper import FIRST_RETRY_SECONDS, INIT_FAILURE, Host, Keeper

SETTINGS = Settings("redis://nowhere", Path("/nowhere"), "file:///nowhere")


class Code:
    """Code that is there when it may be."""

    def __init__(self) -> None:
        self.may_come = asyncio.Event()
        self.may_come.set()
        self.is_coming = False
        self.failure: CodeNotFound | None = None

    async def task_root(self, digest: str) -> Path:
        self.is_coming = True
        try:
            await self.may_come.wait()
        finally:
            self.is_coming = False
        if self.failure is not None:
            raise self.failure
        return Path("/task")

    async def layers_root(self, name: str, digests: object) -> Path:
        return Path("/opt")

    async def root(self, digest: str, layers: object) -> Path:
        return Path("/image")


class Town:
    """What the workers of one installation share, and a clock."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.registry = MemoryRegistry(self.memory)
        self.now = 0.0
        self.store = MemoryProvisioningStore(lambda: self.now)
        self.workers: list[Worker] = []

    async def settle(self) -> None:
        """Until the workers believe whom they hear, and have done what follows from it."""
        await self.tick(6)

    def worker(self, memory_mb: int = 8_000) -> Worker:
        self.workers.append(Worker(self, f"worker-{len(self.workers)}", memory_mb))
        return self.workers[-1]

    async def tick(self, times: int = 1) -> None:
        """Each worker has its turn, and what starts comes up."""
        for _ in range(times):
            self.now += 0.5
            for worker in self.workers:
                await worker.keeper.tick()
                await worker.start_all()

    async def standing(self, record: FunctionRecord, qualifier: str = "1") -> Standing:
        return standing(record, qualifier, await self.store.announcements())


class Worker:
    """A keeper with its pool."""

    def __init__(self, town: Town, name: str, memory_mb: int) -> None:
        self.factory = ManualFactory()
        self.broken = False
        self.pool = Pool(
            self.factory,
            PoolLimits(memory_mb, starts=16),
            lambda made_for: Journal(lambda name, stream, text: None, made_for.function_name),
        )
        self.code = Code()
        functions = Functions(town.registry, self.code, self.code, SETTINGS)
        host = Host(name, memory_mb, lambda: ("python3.12",))
        self.offered: dict[tuple[str, str], int] = {}
        self.keeper = Keeper(
            host,
            town.store,
            town.registry,
            functions,
            self.pool,
            self.offered.update,
            lambda: town.now,
        )

    @property
    def held(self) -> int:
        return sum(not made.stopped for made in self.factory.made if made.started.done())

    async def start_all(self) -> None:
        while waiting := [made for made in self.factory.made if not made.started.done()]:
            for made in waiting:
                if self.broken:
                    made.started.set_exception(InitFailed("Runtime.ImportModuleError", b"{}", 1.0))
                    made.stopped = True
                else:
                    made.started.set_result(None)
            await settle()
        await settle()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns wait a moment for code."""
    monkeypatch.setattr(specs, "PATIENCE_SECONDS", 0.01)


@pytest.fixture
def town() -> Town:
    return Town()


async def test_workers_share_evenly_and_say_when_all_is_ready(town: Town) -> None:
    record = await town.registry.create(function(v1=4))
    first, second = town.worker(), town.worker()
    await town.settle()

    assert (first.held, second.held) == (2, 2)
    assert await town.standing(record) == Standing(4, 4, 4, "READY")


async def test_a_newcomer_takes_its_share_before_the_others_give_it_up(town: Town) -> None:
    record = await town.registry.create(function(v1=4))
    first = town.worker()
    await town.settle()
    assert first.held == 4

    second = town.worker()
    for _ in range(6):
        await town.tick()
        assert (await town.standing(record)).status == "READY"
    assert (first.held, second.held) == (2, 2)


async def test_the_others_replace_what_a_dead_worker_held(town: Town) -> None:
    record = await town.registry.create(function(v1=5))
    first, second = town.worker(), town.worker()
    await town.settle()
    assert first.held + second.held == 5

    town.workers.remove(second)
    await town.tick(12)
    assert first.held == 5
    assert (await town.standing(record)).status == "READY"


async def test_a_change_of_count_is_followed_both_ways(town: Town) -> None:
    await town.registry.create(function(v1=4))
    worker = town.worker()
    await town.settle()
    for count in (4, 6, 1):
        await town.registry.update("f", lambda _, count=count: function(v1=count))  # type: ignore[misc]
        await town.tick(2)
        assert worker.held == count


async def test_what_is_to_be_given_up_is_no_longer_offered_before_it_goes(town: Town) -> None:
    await town.registry.create(function(v1=4))
    worker = town.worker()
    await town.settle()
    await until(lambda: worker.offered == {("f", "1"): 4})

    await town.registry.update("f", lambda _: function(v1=1))
    await town.tick()
    await until(lambda: worker.offered == {("f", "1"): 1})
    assert worker.held == 4
    await town.tick()
    assert worker.held == 1


async def test_what_was_to_be_given_up_is_offered_again_when_the_successor_is_gone(town: Town) -> None:
    await town.registry.create(function(v1=4))
    first = town.worker()
    await town.settle()
    successor = town.worker()
    while successor.held < 2:
        await town.tick()
    await town.tick(2)  # the successor says so, the first hears it
    await until(lambda: first.offered == {("f", "1"): 2})
    assert first.held == 4

    town.workers.remove(successor)
    await town.store.withdraw("worker-1")
    await town.tick()
    await until(lambda: first.offered == {("f", "1"): 4})
    await town.tick(6)
    assert first.held == 4


async def test_nothing_is_kept_of_a_function_that_is_gone(town: Town) -> None:
    await town.registry.create(function(v1=2))
    worker = town.worker()
    await town.settle()
    await town.registry.delete("f")
    with pytest.raises(FunctionNotFound):
        await town.registry.get("f")
    await town.tick()
    assert worker.held == 0


async def test_a_failed_init_is_said_and_tried_again_after_ever_longer_pauses(town: Town) -> None:
    record = await town.registry.create(function(v1=1))
    worker = town.worker()
    worker.broken = True
    await town.settle()
    assert await town.standing(record) == Standing(1, 0, 0, "FAILED", INIT_FAILURE)
    assert len(worker.factory.made) <= 2

    await town.tick(40)
    assert 4 <= len(worker.factory.made) <= 6
    assert (await town.standing(record)).status == "FAILED"

    worker.broken = False
    town.now += 60
    await town.tick(3)
    assert await town.standing(record) == Standing(1, 1, 1, "READY")


async def test_a_new_request_is_tried_at_once(town: Town) -> None:
    await town.registry.create(function(v1=1))
    worker = town.worker()
    worker.broken = True
    await town.tick(int(FIRST_RETRY_SECONDS / 0.5) * 8)
    tried = len(worker.factory.made)
    worker.broken = False

    record = await town.registry.update("f", lambda _: function(v2=1))
    await town.tick(2)
    assert len(worker.factory.made) == tried + 1
    assert (await town.standing(record, "2")).status == "READY"


async def test_what_has_no_work_is_offered_and_nothing_once_the_share_is_gone(town: Town) -> None:
    record = await town.registry.create(function(v1=2))
    worker = town.worker()
    await town.settle()
    await until(lambda: worker.offered == {("f", "1"): 2})

    [place] = [await worker.pool.acquire(demand.key, spec()) for demand in demands(record)]
    await until(lambda: worker.offered == {("f", "1"): 1})
    worker.pool.release(place)
    await until(lambda: worker.offered == {("f", "1"): 2})

    await town.registry.update("f", lambda _: function())
    await town.tick()
    await until(lambda: worker.offered == {("f", "1"): -1})


async def test_a_worker_that_hears_nobody_for_a_moment_does_not_start_everything(town: Town) -> None:
    await town.registry.create(function(v1=4))
    first, second = town.worker(), town.worker()
    await town.settle()
    made = len(first.factory.made)

    await town.store.withdraw("worker-1")
    await first.keeper.tick()
    await town.tick(4)
    assert (first.held, second.held) == (2, 2)
    assert len(first.factory.made) == made


async def test_what_no_worker_has_room_for_fails_with_the_numbers(town: Town) -> None:
    record = await town.registry.create(function(v1=10, memory_mb=1024))
    town.worker(memory_mb=4096)
    await town.settle()
    assert await town.standing(record) == Standing(
        10,
        3,
        3,
        "FAILED",
        "The workers have room for 3 of 10 environments of 1024 MB (runtime python3.12)",
    )

    town.worker(memory_mb=16_384)
    await town.settle()
    assert (await town.standing(record)).status == "READY"


@pytest.mark.usefixtures("impatient")
async def test_a_worker_whose_code_is_long_in_coming_goes_on_and_is_believed_in(town: Town) -> None:
    await town.registry.create(function(v1=4))
    first, second = town.worker(), town.worker()
    second.code.may_come.clear()
    async with asyncio.timeout(10):
        await town.tick(12)
    assert (first.held, second.held) == (2, 0)
    assert {said.worker for said in await town.store.announcements()} == {"worker-0", "worker-1"}

    second.code.may_come.set()
    await town.settle()
    assert (first.held, second.held) == (2, 2)


@pytest.mark.usefixtures("impatient")
async def test_a_keeper_that_ends_gives_up_the_code_it_waits_for(town: Town) -> None:
    await town.registry.create(function(v1=1))
    worker = town.worker()
    worker.code.may_come.clear()
    await town.settle()
    assert worker.code.is_coming

    running = asyncio.create_task(worker.keeper.run())
    await settle()
    running.cancel()
    await asyncio.wait({running})

    assert running.cancelled()
    assert not worker.code.is_coming


async def test_code_that_is_not_to_be_had_is_looked_for_again(town: Town) -> None:
    await town.registry.create(function(v1=1))
    worker = town.worker()
    worker.code.failure = CodeNotFound("no such code")
    await town.settle()
    assert worker.held == 0

    worker.code.failure = None
    await town.settle()
    assert worker.held == 1
