"""The races between reads, changes and announcements, one by one."""

from __future__ import annotations

import pytest

from broker.registry.cache import RecordCache
from broker.registry.model import FunctionConfig, FunctionRecord


def record(generation: int, name: str = "hello") -> FunctionRecord:
    config = FunctionConfig("$LATEST", "python3.11", "a.b", "role", "", 0, "", "")
    return FunctionRecord(name=name, generation=generation, latest=config)


@pytest.fixture
def cache() -> RecordCache:
    listening = RecordCache()
    listening.listening()
    return listening


def test_a_read_record_is_held(cache: RecordCache) -> None:
    cache.remember(record(1), cache.now())
    assert cache.records == {"hello": record(1)}


def test_nothing_is_held_before_changes_are_heard() -> None:
    cache = RecordCache()
    cache.remember(record(1), cache.now())
    assert cache.records == {}


def test_an_announced_change_drops_the_older_record_only(cache: RecordCache) -> None:
    cache.remember(record(1), cache.now())
    cache.remember(record(2, "other"), cache.now())
    cache.announced("hello", 3)
    assert cache.records == {"other": record(2, "other")}


def test_the_announcement_of_what_is_held_already_drops_nothing(cache: RecordCache) -> None:
    cache.remember(record(3), cache.now())
    cache.announced("hello", 3)
    assert cache.records == {"hello": record(3)}


def test_a_read_that_a_change_overtook_is_not_held(cache: RecordCache) -> None:
    since = cache.now()
    cache.announced("hello", 2)
    cache.remember(record(1), since)
    assert cache.records == {}


def test_an_own_write_that_another_overtook_is_not_held(cache: RecordCache) -> None:
    since = cache.now()
    cache.announced("hello", 2)
    cache.announced("hello", 3)
    cache.remember(record(2), since)
    assert cache.records == {}


def test_an_own_write_that_was_announced_meanwhile_is_held(cache: RecordCache) -> None:
    since = cache.now()
    cache.announced("hello", 2)
    cache.remember(record(2), since)
    assert cache.records == {"hello": record(2)}


def test_an_older_record_never_replaces_a_newer_one(cache: RecordCache) -> None:
    since = cache.now()
    cache.remember(record(2), since)
    cache.remember(record(1), since)
    assert cache.records == {"hello": record(2)}


def test_losing_the_subscription_forgets_all(cache: RecordCache) -> None:
    cache.remember(record(1), cache.now())
    cache.deaf()
    assert cache.records == {}


def test_a_read_that_began_before_the_subscription_was_lost_is_not_held(cache: RecordCache) -> None:
    since = cache.now()
    cache.deaf()
    cache.listening()
    cache.remember(record(1), since)
    assert cache.records == {}


def test_after_a_loss_of_data_lower_generations_are_held_again(cache: RecordCache) -> None:
    cache.announced("hello", 100)
    cache.deaf()
    cache.listening()
    since = cache.now()
    cache.announced("other", 1)
    cache.remember(record(2), since)
    assert cache.records == {"hello": record(2)}
