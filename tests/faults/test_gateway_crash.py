"""kill -9 of the gateway with callers waiting, and callers that go away by themselves."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from tests.faults.callers import FUNCTION, Answer, Callers
from tests.faults.conftest import LIMIT, kill
from tests.faults.journal import Journal
from tests.faults.leaks import full_limit_works
from tests.faults.waiting import eventually
from tests.live_system import SHARED, LiveSystem
from tests.signed_requests import sign

ANSWERED_WITHIN_SECONDS = 5
QUEUED_AFTER_SECONDS = 1.0


def test_callers_of_a_killed_gateway_are_not_left_waiting(
    system: LiveSystem, callers: Callers, journal: Journal, deploy_recorder: Callable[..., None],
    report: Callable[..., None],
) -> None:  # fmt: skip
    deploy_recorder(system, limit=LIMIT)
    [gateway] = system.pids("gateway")
    waiting = [callers.call({"sleep_seconds": 2, "label": "call"}) for _ in range(LIMIT)]
    eventually("handlers at work", lambda: len(journal.entries("start")) == LIMIT)
    accepted = callers.accept({"label": "event"} for _ in range(20))

    kill(gateway)

    answers = [call.result(ANSWERED_WITHIN_SECONDS) for call in waiting]
    assert {answer.error for answer in answers} == {"ConnectionClosedError"}
    outcomes = callers.outcomes(accepted)
    assert {outcome["status"] for outcome in outcomes} == {"succeeded"}
    full_limit_works(callers, journal, LIMIT, "afterwards")
    assert set(journal.runs_of("call").values()) == {1}
    report(accepted=len(accepted))


def test_a_caller_that_hangs_up_frees_its_slot(
    system: LiveSystem, callers: Callers, journal: Journal, deploy_recorder: Callable[..., None],
) -> None:  # fmt: skip
    deploy_recorder(system, limit=LIMIT)
    hung_up = [_call_without_listening(system) for _ in range(LIMIT)]
    eventually("handlers at work", lambda: len(journal.entries("start")) == LIMIT)

    for connection in hung_up:
        connection.close()

    eventually("the last of them has ended", lambda: len(journal.entries("end")) == LIMIT)
    eventually("free slots", lambda: callers.call({"label": "free"}).result().succeeded)
    full_limit_works(callers, journal, LIMIT, "afterwards")
    assert set(journal.runs_of("call").values()) == {1}


def test_a_call_whose_caller_hangs_up_while_it_is_queued_never_runs(
    system: LiveSystem, callers: Callers, journal: Journal, deploy_recorder: Callable[..., None],
) -> None:  # fmt: skip
    deploy_recorder(system, limit=LIMIT)
    [stopped] = system.pids("worker")
    with _worker_for_one(system) as busy:
        os.kill(stopped, signal.SIGSTOP)
        eventually("the only worker", lambda: _workers(callers) == [busy], 20)
        occupying = callers.call({"sleep_seconds": 60, "label": "occupying"})
        eventually("a full worker", lambda: callers.get("/depth")["running"] == 1)
        hung_up = [_call_without_listening(system) for _ in range(LIMIT - 1)]
        eventually("queued calls", lambda: callers.get("/depth")["queued"] == LIMIT - 1)

        for connection in hung_up:
            connection.close()

        others: list[Future[Answer]] = []
        eventually("free slots", lambda: _queued(callers, others) == LIMIT - 1)
        os.kill(stopped, signal.SIGCONT)
    assert [call.result().succeeded for call in others] == [True] * len(others)
    assert not occupying.result().succeeded
    full_limit_works(callers, journal, LIMIT, "afterwards")
    assert not journal.runs_of("call")


@contextmanager
def _worker_for_one(system: LiveSystem) -> Iterator[int]:
    """Another worker, which runs one invocation at a time and is killed in the end; its pid."""
    program = str(Path(sys.executable).with_name("lightswitch"))
    command = [program, "worker", "--data-dir", str(system.data_dir), "--max-concurrency", "1", *SHARED]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "worker_ready" not in process.stderr.readline():
            assert process.poll() is None
        try:
            yield process.pid
        finally:
            process.kill()


def _queued(callers: Callers, calls: list[Future[Answer]]) -> int:
    """One more call; it joins `calls` if it waits, and is throttled otherwise. How many wait."""
    call = callers.call({"label": "waiting"})
    try:
        assert call.result(QUEUED_AFTER_SECONDS).error == "TooManyRequestsException"
    except TimeoutError:
        calls.append(call)
    return len(calls)


def _workers(callers: Callers) -> list[int]:
    """Pids of all that have not been given up."""
    return [worker["pid"] for worker in callers.get("/workers")["workers"]]


def _call_without_listening(system: LiveSystem) -> socket.socket:
    endpoint = system.endpoint
    payload = json.dumps({"sleep_seconds": 1, "label": "call"}).encode()
    connection = socket.create_connection((endpoint.host, endpoint.port))
    path = f"/2015-03-31/functions/{FUNCTION}/invocations"
    connection.sendall(sign(endpoint, "POST", path, {"Content-Type": "application/json"}, payload))
    return connection
