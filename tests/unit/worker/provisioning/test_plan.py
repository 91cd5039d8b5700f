"""How workers share what is to be kept initialised."""

from __future__ import annotations

import random

from msgspec.structs import replace

from broker.provisioning.model import Announcement
from broker.registry.model import Image
from broker.registry.provisioned import Demand, demands
from tests.provisioned_functions import function
from worker.provisioning.plan import kept, plan, planned_in_all

RUNTIMES = ("python3.12",)


def worker(name: str, memory_mb: int = 10_000, runtimes: tuple[str, ...] = RUNTIMES) -> Announcement:
    return Announcement(name, memory_mb, runtimes)


def demand(count: int, name: str = "f", memory_mb: int = 128) -> Demand:
    [one] = demands(function(name, memory_mb=memory_mb, v1=count))
    return one


def shares(demanded: list[Demand], *workers: Announcement) -> dict[str, list[int]]:
    planned = plan(demanded, workers)
    return {one.worker: [planned[one.worker].get(d.key, 0) for d in demanded] for one in workers}


def test_environments_are_spread_evenly() -> None:
    three = [worker("a"), worker("b"), worker("c")]
    assert shares([demand(6)], *three) == {"a": [2], "b": [2], "c": [2]}
    assert sorted(share for [share] in shares([demand(7)], *three).values()) == [2, 2, 3]
    assert sorted(share for [share] in shares([demand(1)], *three).values()) == [0, 0, 1]


def test_the_odd_one_is_not_always_for_the_same_worker() -> None:
    workers = [worker(f"w{number}") for number in range(4)]
    singles = [demand(1, f"f{number}") for number in range(40)]
    totals = [sum(counts) for counts in shares(singles, *workers).values()]
    assert sum(totals) == 40
    assert min(totals) >= 4


def test_everybody_makes_the_same_plan_in_whatever_order_they_hear() -> None:
    workers = [worker(f"w{number}", 2_000) for number in range(5)]
    demanded = [demand(number + 1, f"f{number}", 256) for number in range(6)]
    first = plan(demanded, workers)
    for _ in range(5):
        random.shuffle(workers)
        random.shuffle(demanded)
        assert plan(demanded, workers) == first


def test_a_worker_gets_no_more_than_it_has_memory_for() -> None:
    assert shares([demand(6)], worker("small", 256), worker("large", 10_000)) == {"small": [2], "large": [4]}
    both = [demand(2, "f"), demand(2, "g")]
    assert shares(both, worker("only", 3 * 128)) == {"only": [2, 1]}


def test_a_worker_that_cannot_run_images_gets_none() -> None:
    zipped, image = demand(2), Image("oci:/x", "oci:/x", "0" * 64, ())
    of_image = replace(zipped, config=replace(zipped.config, runtime="", image=image))
    able = worker("able", runtimes=("python3.12", "image"))
    assert shares([of_image], able, worker("other")) == {"able": [2], "other": [0]}


def test_a_worker_without_the_runtime_gets_none() -> None:
    able, unable = worker("able"), worker("unable", runtimes=("nodejs20.x",))
    assert shares([demand(3)], able, unable) == {"able": [3], "unable": [0]}


def test_what_nobody_has_room_for_is_seen() -> None:
    short = demand(9)
    planned = plan([short], [worker("a", 512), worker("b", 256)])
    assert planned_in_all(planned, short.key) == 6
    assert planned_in_all(plan([short], []), short.key) == 0


def test_what_others_have_not_got_ready_is_kept() -> None:
    assert kept(share=2, held=4, count=4, held_by_others=0) == 4
    assert kept(share=2, held=4, count=4, held_by_others=1) == 3
    assert kept(share=2, held=4, count=4, held_by_others=2) == 2
    assert kept(share=2, held=0, count=4, held_by_others=0) == 2
    assert kept(share=2, held=2, count=4, held_by_others=4) == 2
