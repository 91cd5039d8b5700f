"""When the broker is told how many provisioned environments have no work."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from broker.registry.provisioned import demands
from tests.provisioned_functions import function
from tests.waiting import until
from worker.environments.provision import Provision
from worker.provisioning.offers import TOGETHER_SECONDS, WITHDRAWN, Offers

VERSION = ("f", "1")


class Told:
    """What was said, and a provision whose number of idle environments a test sets."""

    def __init__(self) -> None:
        self.words: list[Mapping[tuple[str, str], int]] = []
        self.offers = Offers(self.words.append)
        self.provision = Provision()
        (self.demand,) = demands(function(v1=4))

    def have_idle(self, count: int) -> None:
        place: Any = object()
        self.provision.idle[:] = [place] * count
        self.provision.changed()


@pytest.fixture
async def told() -> Told:
    told = Told()
    told.have_idle(4)
    told.offers.follow(told.demand, told.provision)
    await asyncio.sleep(0)
    told.words.clear()
    return told


async def test_what_is_free_again_is_told_in_the_same_tick(told: Told) -> None:
    told.have_idle(2)
    told.have_idle(3)
    assert told.words == []
    await asyncio.sleep(0)
    assert told.words == [{VERSION: 3}]


async def test_environments_that_begin_to_work_are_told_a_little_later_together(told: Told) -> None:
    loop = asyncio.get_running_loop()
    told.have_idle(3)
    told.have_idle(2)
    asked_at = loop.time()
    await until(lambda: bool(told.words))
    assert loop.time() - asked_at >= TOGETHER_SECONDS / 2
    assert told.words == [{VERSION: 2}]


async def test_what_is_dropped_is_withdrawn_and_then_told_afresh(told: Told) -> None:
    told.offers.drop(told.demand, told.provision)
    await until(lambda: bool(told.words))
    assert told.words.pop() == {VERSION: WITHDRAWN}
    told.have_idle(1)
    await asyncio.sleep(2 * TOGETHER_SECONDS)
    assert told.words == [], "nobody listens any more"
    told.offers.follow(told.demand, told.provision)
    await asyncio.sleep(0)
    assert told.words == [{VERSION: 1}]


async def test_all_that_changed_in_a_tick_is_one_word(told: Told) -> None:
    other = Provision()
    (demand,) = demands(function("g", v1=1))
    told.have_idle(5)
    told.offers.follow(demand, other)
    await asyncio.sleep(0)
    assert told.words == [{VERSION: 5, ("g", "1"): 0}]
