"""What happens to an asynchronous invocation that did not succeed: a pure decision."""

from __future__ import annotations

from dataclasses import dataclass

from broker.invocation import Condition
from broker.registry.model import EventInvokeConfig

DEFAULT_RETRY_ATTEMPTS = 2
DEFAULT_EVENT_AGE_SECONDS = 6 * 3600
_LAST_BACK_OFF_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Retry:
    """Run it again after a delay; `charge` counts an attempt."""

    delay_seconds: float
    charge: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It has failed for good."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits of one function, and the step between its retries (AWS: one minute, then two)."""

    retry_attempts: int = DEFAULT_RETRY_ATTEMPTS
    event_age_seconds: int = DEFAULT_EVENT_AGE_SECONDS
    step_seconds: float = 60.0

    @classmethod
    def of(cls, config: EventInvokeConfig | None, step_seconds: float) -> RetryPolicy:
        """The policy that an event invoke config asks for, AWS's defaults where it is silent."""
        attempts = config.maximum_retry_attempts if config else None
        age = config.maximum_event_age_seconds if config else None
        return cls(
            DEFAULT_RETRY_ATTEMPTS if attempts is None else attempts,
            DEFAULT_EVENT_AGE_SECONDS if age is None else age,
            step_seconds,
        )


def after_function_error(attempt: int, age_seconds: float, policy: RetryPolicy) -> Retry | GiveUp:
    """The function failed in its `attempt`-th run: again after one step, then two, ..."""
    if attempt > policy.retry_attempts:
        return GiveUp("RetriesExhausted")
    delay_seconds = attempt * policy.step_seconds
    if age_seconds + delay_seconds > policy.event_age_seconds:
        return GiveUp("EventAgeExceeded")
    return Retry(delay_seconds, charge=True)


def after_platform_error(deliveries: int, age_seconds: float, policy: RetryPolicy) -> Retry | GiveUp:
    """We failed (no environment, no code): back off from 1 s to 5 min until the event is too old."""
    delay_seconds = min(_LAST_BACK_OFF_SECONDS, 2.0 ** (deliveries - 1))
    if age_seconds + delay_seconds > policy.event_age_seconds:
        return GiveUp("EventAgeExceeded")
    return Retry(delay_seconds, charge=False)
