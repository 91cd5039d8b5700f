"""A version with SnapStart is being initialised, and the worker is killed or Redis goes away meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import redis
from botocore.exceptions import ClientError

from tests.deployment_packages import python_package
from tests.faults.callers import FUNCTION, Callers
from tests.faults.conftest import RECORDER, kill
from tests.faults.journal import Journal
from tests.faults.waiting import eventually
from tests.live_system import LiveSystem
from worker.settlement import MOST_LOSSES

LOST_WITHIN_SECONDS = 40
RECOVERED_WITHIN_SECONDS = 30


def publish(system: LiveSystem, journal: Journal, init_seconds: float) -> None:
    """Deploy the recorder and publish its first version, with SnapStart."""
    variables = {"JOURNAL": str(journal.path), "INIT_SECONDS": str(init_seconds)}
    system.deploy(
        FUNCTION,
        python_package(RECORDER),
        Environment={"Variables": variables},
        SnapStart={"ApplyOn": "PublishedVersions"},
    )
    assert system.client.publish_version(FunctionName=FUNCTION)["State"] == "Pending"


def version(system: LiveSystem) -> dict[str, Any]:
    """What GetFunctionConfiguration says of it, nothing while Redis is away."""
    try:
        found: dict[str, Any] = system.client.get_function_configuration(FunctionName=FUNCTION, Qualifier="1")
    except ClientError:
        return {}
    return found


def state(system: LiveSystem) -> str:
    return str(version(system).get("State"))


def worker_waits(system: LiveSystem) -> bool:
    """Whether a worker has said that it could not tell the registry."""
    return any("snapshot_waits" in log.read_text() for log in (system.data_dir / "logs").glob("worker*"))


def has_begun(journal: Journal, times: int) -> bool:
    return len(journal.entries("init")) == times


def kill_and_forget_its_lease(system: LiveSystem, worker: int) -> None:
    """Kill a worker; that its lease lapses is not waited for."""
    kill(worker)
    server = redis.Redis(unix_socket_path=str(system.redis_socket))
    server.delete(*server.scan_iter("*:lease:*"))
    server.close()


@contextmanager
def no_redis(system: LiveSystem) -> Iterator[None]:
    """Kill Redis, and let nobody start another meanwhile."""
    os.kill(system.pid, signal.SIGSTOP)
    try:
        [server] = system.pids("redis")
        kill(server)
        yield
    finally:
        os.kill(system.pid, signal.SIGCONT)


def test_a_version_whose_snapshot_takes_one_worker_down_after_another_fails(
    system: LiveSystem, journal: Journal
) -> None:
    publish(system, journal, init_seconds=30)
    for inits in range(1, MOST_LOSSES + 1):
        eventually("an init", partial(has_begun, journal, inits), LOST_WITHIN_SECONDS)
        [worker] = system.pids("worker")
        kill_and_forget_its_lease(system, worker)

    eventually("the version's failure", lambda: state(system) == "Failed", LOST_WITHIN_SECONDS)
    assert version(system)["StateReason"] == f"{MOST_LOSSES} workers died while they held it"
    assert version(system)["StateReasonCode"] == "InternalError"
    assert len(journal.entries("init")) == MOST_LOSSES


def test_a_version_becomes_active_though_redis_is_away_when_its_snapshot_is_taken(
    system: LiveSystem, callers: Callers, journal: Journal
) -> None:
    publish(system, journal, init_seconds=1)
    eventually("an init", lambda: journal.entries("init"))
    with no_redis(system):
        eventually("a worker that could not say so", lambda: worker_waits(system))

    eventually("the version", lambda: state(system) == "Active", RECOVERED_WITHIN_SECONDS)
    assert callers.call({}, function=f"{FUNCTION}:1").result().succeeded
