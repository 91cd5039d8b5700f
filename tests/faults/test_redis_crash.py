"""kill -9 of Redis under load: what was accepted is on disk, and everybody comes back by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.faults.callers import Callers
from tests.faults.conftest import LIMIT, kill
from tests.faults.journal import Journal
from tests.faults.leaks import full_limit_works
from tests.faults.load import Load
from tests.faults.waiting import eventually
from tests.live_system import LiveSystem

RECOVERED_WITHIN_SECONDS = 10
ANSWERED_WITHIN_SECONDS = 15
ENOUGH = 100
CRASHES = 4


def test_redis_is_killed_and_restarted_under_load(
    system: LiveSystem, callers: Callers, journal: Journal, deploy_recorder: Callable[..., None],
    report: Callable[..., None],
) -> None:  # fmt: skip
    deploy_recorder(system)
    callers.call({"label": "warm"}).result()
    load = Load(callers)
    recovered_seconds = [_crash_under(load, system) for _ in range(CRASHES)]
    load.stop()

    slowest = load.slowest_seconds()
    assert slowest <= ANSWERED_WITHIN_SECONDS
    outcomes = callers.outcomes(load.accepted(), 30)
    assert len(outcomes) == len(set(load.accepted()))
    assert {outcome["status"] for outcome in outcomes} == {"succeeded"}
    assert set(load.accepted()) <= set(journal.runs_of("event"))
    assert max(journal.runs_of("call").values()) == 1, "a sync call runs at most once"
    failed = load.failed()
    assert {answer.error for answer in failed} <= {"ServiceException"}
    report(
        accepted=len(outcomes),
        failed_calls=len(failed),
        slowest_answer_seconds=round(slowest, 1),
        crashes=CRASHES,
        recovered_seconds=round(max(recovered_seconds), 1),
    )


def _crash_under(load: Load, system: LiveSystem) -> float:
    """Kill Redis in the middle of the load; seconds until an event was accepted that was sent later."""
    before = len(load.accepted())
    eventually("accepted events", lambda: len(load.accepted()) >= before + ENOUGH, 20)
    [redis] = system.pids("redis")
    kill(redis)
    killed_at = time.monotonic()
    eventually("another Redis", lambda: [pid for pid in system.pids("redis") if pid != redis])
    eventually("new events", lambda: load.last_accepted_begun_at > killed_at, RECOVERED_WITHIN_SECONDS)
    return time.monotonic() - killed_at


def test_reserved_concurrency_survives_a_crash_of_redis(
    system: LiveSystem, callers: Callers, journal: Journal, deploy_recorder: Callable[..., None],
    report: Callable[..., None],
) -> None:  # fmt: skip
    deploy_recorder(system, limit=LIMIT)
    [redis] = system.pids("redis")
    accepted = callers.accept({"sleep_seconds": 1.0, "label": "event"} for _ in range(3 * LIMIT))
    eventually("handlers at work", lambda: len(journal.entries("start")) == LIMIT)

    kill(redis)

    outcomes = callers.outcomes(accepted)
    assert {outcome["status"] for outcome in outcomes} == {"succeeded"}
    full_limit_works(callers, journal, LIMIT, "afterwards")
    report(accepted=len(accepted))
