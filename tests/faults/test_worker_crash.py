"""kill -9 of a worker before, during and after a handler runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.faults.callers import Callers
from tests.faults.conftest import LIMIT, StartSystem, kill
from tests.faults.journal import Journal
from tests.faults.leaks import full_limit_works, is_alive, no_function_is_left
from tests.faults.load import Load
from tests.faults.waiting import eventually
from tests.live_system import LiveSystem

RECOVERED_WITHIN_SECONDS = 10
ANSWERED_WITHIN_SECONDS = 15
CRASHES = 3
ENOUGH = 100


@pytest.fixture
def worker(system: LiveSystem) -> int:
    [pid] = system.pids("worker")
    return pid


def test_an_event_whose_environment_was_starting_runs_on_another_worker(
    system: LiveSystem, callers: Callers, journal: Journal, deploy_recorder: Callable[..., None],
    worker: int, report: Callable[..., None],
) -> None:  # fmt: skip
    deploy_recorder(system, init_seconds=1.0)
    accepted = callers.accept([{"label": "event"}])
    [init] = eventually("an environment that starts", lambda: journal.entries("init"))
    assert not journal.entries("start")

    kill(worker)

    # The run comes a whole slow start after the message has been handed to another worker.
    eventually("the run", lambda: journal.entries("start"), RECOVERED_WITHIN_SECONDS + 1)
    [outcome] = callers.outcomes(accepted)
    assert (outcome["status"], outcome["attempts"]) == ("succeeded", 1)
    assert outcome["deliveries"] == 2
    no_function_is_left([init])
    report(accepted=1, recovered_seconds=round(journal.entries("start")[0].at - init.at, 1))


def test_events_whose_handlers_were_running_run_again(
    system: LiveSystem, callers: Callers, journal: Journal, deploy_recorder: Callable[..., None],
    worker: int, report: Callable[..., None],
) -> None:  # fmt: skip
    deploy_recorder(system, limit=LIMIT)
    accepted = callers.accept({"sleep_seconds": 1.0, "label": "event"} for _ in range(3 * LIMIT))
    eventually("handlers at work", lambda: len(journal.entries("start")) == LIMIT)
    interrupted = {entry.process: entry for entry in journal.entries("start")}
    killed_at = max(entry.at for entry in interrupted.values())

    kill(worker)

    outcomes = callers.outcomes(accepted)
    assert {outcome["status"] for outcome in outcomes} == {"succeeded"}
    again = [entry for entry in journal.entries("start") if entry.process not in interrupted]
    recovered_seconds = min(entry.at for entry in again) - killed_at
    assert recovered_seconds <= RECOVERED_WITHIN_SECONDS
    assert journal.duplicates() <= LIMIT, "only what was interrupted may run twice"
    no_function_is_left(interrupted.values())
    full_limit_works(callers, journal, LIMIT, "afterwards")
    report(accepted=len(accepted), recovered_seconds=round(recovered_seconds, 1))


def test_an_event_that_had_run_but_was_not_settled_ends_once(
    system: LiveSystem, callers: Callers, journal: Journal, deploy_recorder: Callable[..., None],
    worker: int, report: Callable[..., None],
) -> None:  # fmt: skip
    deploy_recorder(system, limit=LIMIT)
    accepted = callers.accept([{"sleep_seconds": 0.5, "label": "event"}])
    eventually("a handler at work", lambda: journal.entries("start"))
    os.kill(worker, signal.SIGSTOP)  # the function can end, the worker cannot hear of it
    eventually("the handler's end", lambda: journal.entries("end"))

    kill(worker)

    [outcome] = callers.outcomes(accepted, RECOVERED_WITHIN_SECONDS)
    assert outcome["status"] == "succeeded"
    assert outcome["deliveries"] == 2
    full_limit_works(callers, journal, LIMIT, "afterwards")
    report(accepted=1)


def test_a_waiting_caller_gets_an_error_and_its_call_never_runs_again(
    system: LiveSystem, callers: Callers, journal: Journal, deploy_recorder: Callable[..., None],
    worker: int, report: Callable[..., None],
) -> None:  # fmt: skip
    deploy_recorder(system, limit=LIMIT)
    waiting = [callers.call({"sleep_seconds": 30, "label": "call"}) for _ in range(LIMIT)]
    eventually("handlers at work", lambda: len(journal.entries("start")) == LIMIT)

    kill(worker)

    answers = [call.result(ANSWERED_WITHIN_SECONDS) for call in waiting]
    assert not any(answer.succeeded for answer in answers)
    assert {answer.error for answer in answers} == {"ServiceException"}
    no_function_is_left(journal.entries("start"))
    full_limit_works(callers, journal, LIMIT, "afterwards")
    assert set(journal.runs_of("call").values()) == {1}
    report(answered_seconds=round(max(answer.seconds for answer in answers), 1))


def test_a_worker_that_dies_is_replaced(system: LiveSystem, worker: int) -> None:
    kill(worker)

    [successor] = eventually(
        "another worker", lambda: [pid for pid in system.pids("worker") if pid != worker]
    )
    assert is_alive(successor)


def test_workers_are_killed_one_after_another_under_load(
    start_system: StartSystem, journal: Journal, deploy_recorder: Callable[..., None],
    report: Callable[..., None],
) -> None:  # fmt: skip
    system = start_system("--workers", "2")
    callers = Callers(system)
    deploy_recorder(system)
    load = Load(callers)
    for _ in range(CRASHES):
        _crash_under(load, system)
    load.stop()

    outcomes = callers.outcomes(load.accepted(), 30)
    assert len(outcomes) == len(set(load.accepted()))
    assert {outcome["status"] for outcome in outcomes} == {"succeeded"}
    assert set(load.accepted()) <= set(journal.runs_of("event"))
    assert max(journal.runs_of("call").values()) == 1, "a sync call runs at most once"
    assert {answer.error for answer in load.failed()} <= {"ServiceException"}
    assert load.slowest_seconds() <= ANSWERED_WITHIN_SECONDS
    callers.close()
    report(accepted=len(outcomes), failed_calls=len(load.failed()), crashes=CRASHES)


def _crash_under(load: Load, system: LiveSystem) -> None:
    """Kill a worker in the middle of the load; another has come when this returns."""
    before = len(load.accepted())
    eventually("accepted events", lambda: len(load.accepted()) >= before + ENOUGH, 20)
    workers = system.pids("worker")
    kill(workers[0])
    others = eventually("another worker", lambda: set(system.pids("worker")) - set(workers))
    assert len(others) == 1
