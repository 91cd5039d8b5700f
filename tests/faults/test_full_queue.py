"""More messages than can be run, and more than Redis has room for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis

from tests.faults.callers import Callers
from tests.faults.journal import Journal
from tests.faults.leaks import full_limit_works
from tests.faults.waiting import eventually
from tests.live_system import LiveSystem

BACKLOG = 500


def test_a_long_queue_hurts_no_other_function_and_loses_nothing(
    system: LiveSystem, callers: Callers, journal: Journal, deploy_recorder: Callable[..., None],
    report: Callable[..., None],
) -> None:  # fmt: skip
    deploy_recorder(system, limit=1)
    accepted = callers.accept({"sleep_seconds": 0.05, "label": "event"} for _ in range(BACKLOG))
    throttled = callers.call({"label": "call"}).result()
    assert throttled.error == "TooManyRequestsException"
    assert callers.outcome(accepted[-1]) == {"request_id": accepted[-1], "status": "pending"}

    system.client.delete_function_concurrency(FunctionName="recorder")

    outcomes = callers.outcomes(accepted, 60)
    assert {outcome["status"] for outcome in outcomes} == {"succeeded"}
    assert {outcome["deliveries"] for outcome in outcomes} == {1}
    assert journal.duplicates() == 0
    report(accepted=len(accepted))


def test_a_redis_without_memory_refuses_clearly_and_keeps_what_was_accepted(
    system: LiveSystem, callers: Callers, journal: Journal, deploy_recorder: Callable[..., None],
    report: Callable[..., None],
) -> None:  # fmt: skip
    deploy_recorder(system, limit=1)
    accepted = callers.accept({"sleep_seconds": 0.05, "label": "event"} for _ in range(50))
    with _no_memory(system):
        refused = callers.submit({"label": "refused"})
        assert refused.error == "ServiceException", refused
        refused_call = callers.call({"label": "refused"}).result(30)
        assert refused_call.error in ("ServiceException", "TooManyRequestsException"), refused_call

    outcomes = callers.outcomes(accepted)
    assert {outcome["status"] for outcome in outcomes} == {"succeeded"}
    assert not journal.entries(label="refused")
    eventually("a free slot", lambda: callers.call({"label": "free"}).result().succeeded)
    full_limit_works(callers, journal, 1, "afterwards")
    report(accepted=len(accepted))


@contextmanager
def _no_memory(system: LiveSystem) -> Iterator[None]:
    server = redis.Redis(unix_socket_path=str(system.redis_socket))
    server.config_set("maxmemory", "1mb")  # an empty server uses about as much
    try:
        yield
    finally:
        server.config_set("maxmemory", "0")
        server.close()
