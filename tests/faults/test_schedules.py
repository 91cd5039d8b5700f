"""Schedules while the processes that fire them are killed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from deploy.credentials import Credentials
from deploy.endpoint import Endpoint
from tests.faults.conftest import kill
from tests.faults.journal import Journal
from tests.faults.waiting import eventually
from tests.live_system import LiveSystem

SCHEDULES = 120
FIRES_IN = timedelta(seconds=6)


def test_every_schedule_fires_once_though_those_who_fire_them_are_killed(
    system: LiveSystem,
    second_process: int,
    journal: Journal,
    deploy_recorder: Callable[..., None],
    report: Callable[..., None],
) -> None:
    deploy_recorder(system)
    keys = system.endpoint
    endpoint = Endpoint(system.url, keys.region, Credentials(keys.access_key, keys.secret_key))
    (first_process,) = system.pids("triggers")
    fires_at = datetime.now(UTC) + FIRES_IN
    for number in range(SCHEDULES):
        settings = {
            "expression": f"at({fires_at:%Y-%m-%dT%H:%M:%S})",
            "input": {"label": f"schedule-{number}"},
        }
        endpoint.send("POST", "/triggers", {"kind": "schedule", "function": "recorder", "settings": settings})
    assert not journal.entries("start")

    eventually("the first firing", lambda: journal.entries("start"), within_seconds=20)
    kill(first_process)  # `up` starts another
    kill(second_process)
    seen = len(journal.entries("start"))

    eventually("all firings", lambda: len(journal.entries("end")) >= SCHEDULES, within_seconds=40)
    assert [len(journal.runs_of(f"schedule-{number}")) for number in range(SCHEDULES)] == [1] * SCHEDULES
    assert len(journal.entries("start")) == SCHEDULES
    report(fired_before_the_kill=seen, schedules=SCHEDULES)
