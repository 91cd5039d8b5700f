"""Retry, bisect, give up: what AWS says follows a failed batch."""

from __future__ import annotations

import pytest

from tests.unit.triggers.event_source_mapping.streams.records import record
from triggers.event_source_mapping.streams.batches import (
    RETENTION_SECONDS,
    Batch,
    GiveUp,
    Retry,
    RetryPolicy,
    after_failure,
    retry_delay_seconds,
    too_old,
)


def batch(*numbers: int, failures: int = 0) -> Batch:
    return Batch(tuple(record(number) for number in numbers), failures)


def numbers(made: Batch) -> list[int]:
    return [int(name) for name in made.sequence_numbers]


def test_a_failed_batch_is_retried_whole_and_later_each_time() -> None:
    first = after_failure(batch(1, 2, 3), 0, RetryPolicy())
    assert isinstance(first, Retry)
    second = after_failure(first.batches[0], 0, RetryPolicy())
    assert isinstance(second, Retry)

    assert [numbers(each) for each in second.batches] == [[1, 2, 3]]
    assert second.batches[0].failures == second.batches[0].runs == 2
    assert second.delay_seconds > first.delay_seconds > 0


def test_without_bounds_retries_wait_a_minute_at_most() -> None:
    assert retry_delay_seconds(1) == 0.5
    assert retry_delay_seconds(9999) == 60


@pytest.mark.parametrize(("attempts", "runs"), [(0, 1), (2, 3)])
def test_a_batch_runs_once_more_than_it_may_be_retried(attempts: int, runs: int) -> None:
    policy = RetryPolicy(maximum_retry_attempts=attempts)
    current, ran = batch(1), 0
    while True:
        ran += 1
        verdict = after_failure(current, 0, policy)
        if isinstance(verdict, GiveUp):
            break
        current = verdict.batches[0]

    assert ran == verdict.batch.runs == runs
    assert verdict.condition == "RetryAttemptsExhausted"


def test_bisecting_halves_the_batch_at_once_and_costs_no_retry() -> None:
    verdict = after_failure(batch(1, 2, 3), 0, RetryPolicy(bisect=True, maximum_retry_attempts=0))

    assert isinstance(verdict, Retry)
    assert [numbers(half) for half in verdict.batches] == [[1], [2, 3]]
    assert verdict.delay_seconds == 0
    assert {half.failures for half in verdict.batches} == {0}


def test_bisecting_ends_at_the_poison_record_alone() -> None:
    policy = RetryPolicy(bisect=True, maximum_retry_attempts=1)
    pending, delivered, given_up = [batch(*range(1, 9))], [], []
    while pending:
        current = pending.pop(0)
        if 6 not in numbers(current):
            delivered += numbers(current)
            continue
        verdict = after_failure(current, 0, policy)
        if isinstance(verdict, GiveUp):
            given_up += numbers(verdict.batch)
        else:
            pending[:0] = verdict.batches

    assert delivered == [1, 2, 3, 4, 5, 7, 8]
    assert given_up == [6]


def test_a_reported_failure_keeps_what_came_before() -> None:
    verdict = after_failure(batch(1, 2, 3, 4), 2, RetryPolicy(bisect=True))

    assert isinstance(verdict, Retry)
    assert [numbers(each) for each in verdict.batches] == [[3, 4]]


def test_progress_begins_the_retries_anew() -> None:
    policy = RetryPolicy(maximum_retry_attempts=1)
    verdict = after_failure(batch(1, 2, 3, failures=1), 1, policy)

    assert isinstance(verdict, Retry)
    assert verdict.batches[0].failures == 1


def test_records_beyond_the_greatest_age_are_told_from_the_others() -> None:
    mixed = Batch((record(1, created_seconds=100), record(2, created_seconds=200)))

    old, fresh = too_old(mixed, 261, RetryPolicy(maximum_record_age_seconds=120))

    assert (numbers(old), numbers(fresh)) == ([1], [2])


def test_without_a_bound_records_are_too_old_after_the_streams_retention() -> None:
    old, fresh = too_old(batch(1), 1000 + RETENTION_SECONDS - 1, RetryPolicy())
    assert (numbers(old), numbers(fresh)) == ([], [1])
    old, _ = too_old(batch(1), 1000 + RETENTION_SECONDS, RetryPolicy())
    assert numbers(old) == [1]
