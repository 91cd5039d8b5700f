"""A schedule of the command line calls a function at its time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.acceptance.command_line import CommandLine
from tests.acceptance.functions import attempts, deploy, signed_get
from tests.live_system import LiveSystem

SHOWING = b"""
import json

def handler(event, context):
    print("EVENT " + json.dumps(event))
"""


@pytest.fixture
def function(running_system: LiveSystem, function_name: str) -> Iterator[str]:
    deploy(running_system, function_name, SHOWING)
    yield function_name
    running_system.client.delete_function(FunctionName=function_name)


def test_a_schedule_calls_its_function_with_a_scheduled_event(
    running_system: LiveSystem, command_line: CommandLine, function: str
) -> None:
    fires_at = datetime.now(UTC) + timedelta(seconds=3)
    berlin = fires_at.astimezone(ZoneInfo("Europe/Berlin"))
    expression = f"at({berlin:%Y-%m-%dT%H:%M:%S})"
    added = command_line.run(
        "trigger", "add", "schedule", expression, "--function", function, "--timezone", "Europe/Berlin"
    )
    trigger_id = added.stdout.strip()
    for _ in attempts("the event"):
        page = signed_get(running_system, f"/lightswitch/v1/functions/{function}/logs?limit=100")
        lines = "".join(event["message"] for event in page["events"]).splitlines()
        events = [line.removeprefix("EVENT ") for line in lines if line.startswith("EVENT ")]
        if events:
            break
    (event,) = map(json.loads, events)
    assert (event["detail-type"], event["source"]) == ("Scheduled Event", "aws.events")
    assert event["time"] == f"{fires_at:%Y-%m-%dT%H:%M:%SZ}"
    assert event["resources"] == [f"arn:aws:events:us-east-1:123456789012:rule/{trigger_id}"]
    shown = json.loads(command_line.run("trigger", "show", trigger_id).stdout)
    assert shown["settings"]["expression"] == expression
    command_line.run("trigger", "remove", trigger_id)


def test_what_is_no_schedule_is_refused(command_line: CommandLine, function: str) -> None:
    refused = command_line.run("trigger", "add", "schedule", "rate(1 minutes)", "--function", function)
    assert refused.returncode == 1
    assert "it must be rate(1 minute)" in refused.stderr
