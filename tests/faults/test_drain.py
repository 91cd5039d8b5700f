"""SIGTERM to a worker in the middle of a handler: a drain, not a failure."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from tests.faults.callers import Callers
from tests.faults.conftest import StartSystem
from tests.faults.journal import Journal
from tests.faults.leaks import no_function_is_left, no_process_is_left
from tests.faults.waiting import eventually
from tests.live_system import LiveSystem


def test_a_draining_worker_finishes_what_runs(
    system: LiveSystem, callers: Callers, journal: Journal, deploy_recorder: Callable[..., None],
    report: Callable[..., None],
) -> None:  # fmt: skip
    deploy_recorder(system)
    [worker] = system.pids("worker")
    waiting = callers.call({"sleep_seconds": 1.5, "label": "call"})
    accepted = callers.accept([{"sleep_seconds": 1.5, "label": "event"}])
    eventually("both at work", lambda: len(journal.entries("start")) == 2)

    os.kill(worker, signal.SIGTERM)

    assert waiting.result(15).result == {"sleep_seconds": 1.5, "label": "call"}
    [outcome] = callers.outcomes(accepted)
    assert (outcome["status"], outcome["attempts"], outcome["deliveries"]) == ("succeeded", 1, 1)
    no_process_is_left([worker])
    no_function_is_left(journal.entries("start"))
    assert journal.duplicates() == 0
    assert callers.call({"label": "afterwards"}).result(15).succeeded
    report(accepted=1)


def test_what_outlives_the_drain_is_handed_back_without_a_charged_attempt(
    start_system: StartSystem, journal: Journal, deploy_recorder: Callable[..., None],
    report: Callable[..., None],
) -> None:  # fmt: skip
    system = start_system("--workers", "1", "--drain-seconds", "0.5")
    callers = Callers(system)
    deploy_recorder(system)
    [worker] = system.pids("worker")
    accepted = callers.accept([{"sleep_seconds": 3, "label": "event"}])
    [interrupted] = eventually("a handler at work", lambda: journal.entries("start"))

    os.kill(worker, signal.SIGTERM)

    [outcome] = callers.outcomes(accepted)
    assert (outcome["status"], outcome["attempts"], outcome["deliveries"]) == ("succeeded", 1, 2)
    no_process_is_left([worker])
    no_function_is_left([interrupted])
    assert len(journal.entries("end")) == 1
    callers.close()
    report(accepted=1)
