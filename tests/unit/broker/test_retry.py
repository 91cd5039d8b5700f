"""Decisions about failed asynchronous invocations."""

from __future__ import annotations

import pytest

from broker.registry.model import EventInvokeConfig
from broker.retry import GiveUp, Retry, RetryPolicy, after_function_error, after_platform_error

AWS_DEFAULTS = RetryPolicy()


def test_a_function_error_is_retried_after_one_and_then_two_minutes() -> None:
    assert after_function_error(1, 0, AWS_DEFAULTS) == Retry(60, charge=True)
    assert after_function_error(2, 61, AWS_DEFAULTS) == Retry(120, charge=True)


def test_the_third_failure_exhausts_the_retries() -> None:
    assert after_function_error(3, 190, AWS_DEFAULTS) == GiveUp("RetriesExhausted")


def test_no_retries_means_none() -> None:
    assert after_function_error(1, 0, RetryPolicy(retry_attempts=0)) == GiveUp("RetriesExhausted")


def test_a_retry_that_would_come_too_late_is_not_made() -> None:
    assert after_function_error(1, 10, RetryPolicy(event_age_seconds=69)) == GiveUp("EventAgeExceeded")
    assert after_function_error(1, 10, RetryPolicy(event_age_seconds=70)) == Retry(60, charge=True)


@pytest.mark.parametrize(("deliveries", "delay"), [(1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (60, 300)])
def test_our_own_failures_back_off_up_to_five_minutes_and_cost_no_attempt(
    deliveries: int, delay: float
) -> None:
    assert after_platform_error(deliveries, 0, AWS_DEFAULTS) == Retry(delay, charge=False)


def test_our_own_failures_end_when_the_event_is_too_old() -> None:
    assert after_platform_error(40, 6 * 3600 - 10, AWS_DEFAULTS) == GiveUp("EventAgeExceeded")


def test_an_event_invoke_config_overrides_what_it_names() -> None:
    config = EventInvokeConfig(last_modified=0, maximum_retry_attempts=0)
    assert RetryPolicy.of(config, 60) == RetryPolicy(0, 6 * 3600, 60)
    assert RetryPolicy.of(None, 5) == RetryPolicy(2, 6 * 3600, 5)
