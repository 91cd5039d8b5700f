"""What follows when a batch failed: retry, bisect or give up. Pure decisions with AWS's rules.

Source: "Retaining discarded records for a DynamoDB event source" and "Configuring partial batch response with
DynamoDB and Lambda" in the Lambda developer guide. A split costs no retry. Where the function says which
record failed first, what came before it is done, and a batch that got further begins its retries anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from triggers.event_source_mapping.streams.records import StreamRecord

RETENTION_SECONDS = 24 * 3600
"""A stream keeps its records for a day; without a bound of its own a mapping gives up then."""

_FIRST_RETRY_SECONDS = 0.5
_LAST_RETRY_SECONDS = 60.0

Condition = Literal["RetryAttemptsExhausted", "RecordAgeExceeded"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that go to the function together. `failures`: runs that count; `runs`: all, splits included."""

    records: tuple[StreamRecord, ...]
    failures: int = 0
    runs: int = 0

    @property
    def sequence_numbers(self) -> list[str]:
        return [record.sequence_number for record in self.records]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits of one mapping; -1 stands for none, as in the API."""

    bisect: bool = False
    maximum_retry_attempts: int = -1
    maximum_record_age_seconds: int = -1

    @property
    def record_age_seconds(self) -> int:
        given = self.maximum_record_age_seconds
        return RETENTION_SECONDS if given < 0 else given


@dataclass(frozen=True, slots=True)
class Retry:
    """Run these batches, in this order, the first after `delay_seconds`."""

    batches: tuple[Batch, ...]
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Tell the on-failure destination of `batch`, and go on behind it."""

    batch: Batch
    condition: Condition


def after_failure(batch: Batch, failed_at: int, policy: RetryPolicy) -> Retry | GiveUp:
    """The function failed at record `failed_at` of the batch (0: at all of it); those before are done."""
    runs = batch.runs + 1
    if failed_at:
        rest = Batch(batch.records[failed_at:], failures=1, runs=runs)
    elif policy.bisect and len(batch.records) > 1:
        return Retry(_halves(replace(batch, runs=runs)))
    else:
        rest = replace(batch, failures=batch.failures + 1, runs=runs)
    if 0 <= policy.maximum_retry_attempts < rest.failures:
        return GiveUp(rest, "RetryAttemptsExhausted")
    return Retry((rest,), retry_delay_seconds(rest.failures))


def retry_delay_seconds(failures: int) -> float:
    """Half a second, doubling up to a minute."""
    return float(min(_LAST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 10)))


def too_old(batch: Batch, now_seconds: float, policy: RetryPolicy) -> tuple[Batch, Batch]:
    """The leading records that are beyond the greatest age, and the others."""
    oldest = now_seconds - policy.record_age_seconds
    count = 0
    for record in batch.records:
        if record.created_seconds > oldest:
            break
        count += 1
    return replace(batch, records=batch.records[:count]), replace(batch, records=batch.records[count:])


def _halves(batch: Batch) -> tuple[Batch, Batch]:
    middle = len(batch.records) // 2
    return replace(batch, records=batch.records[:middle]), replace(batch, records=batch.records[middle:])
