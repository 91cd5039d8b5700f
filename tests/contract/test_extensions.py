"""One suite for extensions at every sandbox level and for either kind of runtime."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.environment_workbench import Kind, Tried, Workbench
from tests.sandbox_levels import workbench_at
from tests.waiting import until
from worker.environments.interface import (
    Exited,
    ExtensionFailed,
    HandlerFailed,
    InitFailed,
    Rest,
    RunResult,
    Succeeded,
    TimedOut,
)
from worker.environments.lifecycle import State
from worker.sandbox.levels import Level

REQUEST_ID = "7b1c9f5e-0000-4000-8000-000000000001"


@pytest.fixture
async def strongest(tmp_path: Path) -> AsyncIterator[Workbench]:
    """A bench at one level: that of the machine's user."""
    level = Level.L3 if os.geteuid() == 0 else Level.L0
    async with workbench_at(level, tmp_path) as bench:
        yield bench


def make(
    bench: Workbench, function: str = "echo", kind: Kind = "python", /, **plans: Mapping[str, Any]
) -> Tried:
    """An environment with one extension for each plan."""
    return bench.make(
        f"app.{function}",
        bench.suite_code(kind),
        kind,
        variables={"EXTENSION_PLAN": json.dumps(plans)},
        layers=bench.layers_with_extensions(*plans),
    )


async def start(bench: Workbench, function: str = "echo", kind: Kind = "python", /, **plans: Any) -> Tried:
    tried = make(bench, function, kind, **plans)
    await tried.environment.start()
    return tried


async def run_to_rest(tried: Tried, payload: bytes = b"{}", **details: Any) -> tuple[RunResult, Rest]:
    """A run and what extensions did after it."""
    result = await tried.run(payload, **details)
    return result, await tried.environment.rest() if result.unfinished else Rest(0.0)


def said(tried: Tried, member: str) -> list[Any]:
    """What extensions said of this kind so far."""
    lines = re.findall(r'{"extension".*', tried.output.decode())
    return [found[member] for line in lines if member in (found := json.loads(line))]


async def failed_start(tried: Tried) -> tuple[str, str]:
    """Error type and message of an init that fails."""
    with pytest.raises(InitFailed) as failed:
        await tried.environment.start()
    document = json.loads(failed.value.document)
    assert document["errorType"] == failed.value.error_type
    assert tried.environment.state is State.GONE
    return document["errorType"], document["errorMessage"]


@pytest.mark.parametrize("kind", ["python", "bootstrap"])
async def test_an_extension_sees_init_each_run_and_the_end(bench: Workbench, kind: Kind) -> None:
    tried = await start(bench, "echo", kind, watcher={})

    results = [(await run_to_rest(tried, b"%d" % number))[0] for number in (1, 2)]
    await tried.environment.stop()

    assert [result.outcome for result in results] == [Succeeded(b"1"), Succeeded(b"2")]
    (function,) = said(tried, "registered")
    assert function["functionName"], function["functionVersion"] == ("tried", "$LATEST")
    assert function["handler"], function["accountId"] == ("app.echo", "123456789012")
    invoke, again, shutdown = said(tried, "event")
    assert invoke["eventType"] == again["eventType"] == "INVOKE"
    assert invoke["requestId"] == REQUEST_ID
    assert invoke["invokedFunctionArn"].endswith(":function:tried")
    assert shutdown["shutdownReason"] == "spindown"
    assert said(tried, "leaves") == [True]
    assert "EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE,SHUTDOWN]\n" in tried.output.decode()


async def test_extensions_are_told_less_than_the_runtime(bench: Workbench) -> None:
    tried = await start(bench, watcher={})

    (names,) = said(tried, "variables")
    assert {"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "EXTENSION_PLAN"} <= set(
        names
    )
    hidden = {"_HANDLER", "AWS_EXECUTION_ENV", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"}
    assert not hidden & set(names)
    assert not [name for name in names if name.startswith("AWS_LAMBDA_LOG")]


@pytest.mark.skipif(os.geteuid() != 0, reason="functions share the user of a worker that is not root")
async def test_no_memory_can_be_written_before_the_runtime_starts(bench: Workbench) -> None:
    tried = await start(bench, intruder={"intrude": True})

    assert said(tried, "writable") == [[]]


async def test_the_answer_does_not_wait_for_extensions_but_the_environment_does(bench: Workbench) -> None:
    tried = await start(bench, slow={"work_seconds": 0.3})

    result = await tried.run(b"1")
    done_at_the_answer, state_at_the_answer = said(tried, "done"), tried.environment.state
    rest = await tried.environment.rest()

    assert result.outcome == Succeeded(b"1")
    assert (done_at_the_answer, state_at_the_answer) == ([], State.BUSY)
    assert said(tried, "done") == [REQUEST_ID]
    assert tried.environment.state is State.IDLE
    assert 200 < rest.extensions_ms < 5_000
    assert result.duration_ms < 200


async def test_an_extension_without_events_only_waits(strongest: Workbench) -> None:
    tried = await start(strongest, idle={"events": []})

    result = await tried.run(b"1")

    assert not result.unfinished
    assert said(tried, "event") == []


async def test_extensions_freeze_with_their_environment_and_go_on_with_it(bench: Workbench) -> None:
    tried = await start(bench, ticking={"work_seconds": 0, "ticks": True})
    await run_to_rest(tried)

    tried.environment.freeze()
    await until(lambda: tried.environment.state is State.FROZEN)
    await asyncio.sleep(0.1)  # what it wrote until then arrives
    ticks = len(said(tried, "tick"))
    await asyncio.sleep(0.2)  # as long as it would have ticked ten times
    assert len(said(tried, "tick")) == ticks
    result, _ = await run_to_rest(tried, b"1")
    assert result.outcome == Succeeded(b"1")
    await until(lambda: len(said(tried, "tick")) > ticks)


async def test_a_crash_before_registration_fails_init(bench: Workbench) -> None:
    tried = make(bench, broken={"misbehave": "before registering"})

    assert await failed_start(tried) == ("Extension.Crash", "exit status 3")


async def test_a_crash_between_registration_and_readiness_fails_init(strongest: Workbench) -> None:
    tried = make(strongest, broken={"misbehave": "in init", "status": 0})

    assert await failed_start(tried) == ("Extension.Crash", "exit code 0")
    assert "EXTENSION\tName: broken\tState: Exited\tEvents: [INVOKE,SHUTDOWN]" in tried.output.decode()


@pytest.mark.parametrize(("phase", "error_type"), [("init", "InitError"), ("exit", "ExitError")])
async def test_an_extension_may_give_up_in_init(strongest: Workbench, phase: str, error_type: str) -> None:
    tried = make(strongest, sorry={"report": phase})

    assert await failed_start(tried) == (f"Extension.{error_type}", "exit code 0")
    assert "Error Type: Extension.Sorry" in tried.output.decode()


async def test_a_file_that_cannot_be_executed_fails_init(bench: Workbench) -> None:
    tried = make(bench, locked={})
    layers = tried.environment.spec.layers
    assert layers is not None
    (layers / "extensions" / "locked").chmod(0o644)

    assert await failed_start(tried) == (
        "Extension.LaunchError",
        "fork/exec /opt/extensions/locked: permission denied",
    )


async def test_the_eleventh_extension_is_too_many(strongest: Workbench) -> None:
    tried = make(strongest, **{f"number{number}": {} for number in range(11)})

    assert await failed_start(tried) == ("Extension.LaunchError", "Extension limit (10) reached")


async def test_a_crash_in_a_run_is_its_outcome(bench: Workbench) -> None:
    tried = await start(bench, "sleep", broken={"misbehave": "in invoke"})

    result, _ = await run_to_rest(tried, b"60")

    assert result.outcome == ExtensionFailed("Extension.Crash", "exit status 3")
    assert tried.environment.state is State.GONE


async def test_a_crash_after_the_answer_ends_the_environment_only(strongest: Workbench) -> None:
    tried = await start(strongest, slow={"work_seconds": 0.2, "misbehave": "after work"})

    result, rest = await run_to_rest(tried, b"1")

    assert result.outcome == Succeeded(b"1")
    assert rest.failure == ExtensionFailed("Extension.Crash", "exit status 3")
    assert tried.environment.state is State.GONE


async def test_an_extension_that_does_not_come_back_runs_into_the_deadline(strongest: Workbench) -> None:
    tried = await start(strongest, stuck={"misbehave": "in invoke", "how": "hang"})

    result, rest = await run_to_rest(tried, b"1", seconds=0.5)

    assert result.outcome == Succeeded(b"1")
    assert rest.failure == TimedOut(20)
    assert tried.environment.state is State.GONE


async def test_a_timeout_of_the_function_is_told_to_extensions(bench: Workbench) -> None:
    tried = await start(bench, "sleep", watcher={})

    result, rest = await run_to_rest(tried, b"60", seconds=0.3)

    assert (result.outcome, rest.failure) == (TimedOut(20), None)
    assert [event.get("shutdownReason") for event in said(tried, "event")] == [None, "timeout"]
    assert said(tried, "leaves") == [True]


async def test_the_end_of_the_runtime_is_told_to_extensions(strongest: Workbench) -> None:
    tried = await start(strongest, "leave", watcher={})

    result, _ = await run_to_rest(tried, b"3")

    assert result.outcome == Exited("exit status 3")
    assert [event.get("shutdownReason") for event in said(tried, "event")] == [None, "failure"]


async def test_who_ignores_the_end_is_killed_after_two_seconds(strongest: Workbench) -> None:
    token = uuid.uuid4().hex
    tried = make(strongest, **{token: {"misbehave": "at shutdown", "how": "hang"}})
    await tried.environment.start()
    assert _naming(token)

    before = time.monotonic()
    await tried.environment.stop()

    assert 1.5 < time.monotonic() - before < 8
    assert not _naming(token)


async def test_a_runtime_is_asked_to_end_before_extensions_are_told(strongest: Workbench) -> None:
    tried = await start(strongest, "tell_of_termination", watcher={})
    await run_to_rest(tried)

    await tried.environment.stop()

    lines = tried.output.decode().splitlines()
    said_farewell = next(number for number, line in enumerate(lines) if "runtime terminated" in line)
    was_told = next(number for number, line in enumerate(lines) if "SHUTDOWN" in line and '"event"' in line)
    assert said_farewell < was_told


async def test_a_flood_of_an_extension_does_not_hold_up_answers(strongest: Workbench) -> None:
    tried = await start(strongest, noisy={"misbehave": "in invoke", "how": "flood"})
    neighbour = await start(strongest)

    result = await tried.run(b"1", seconds=3)
    assert (await neighbour.run(b"2")).outcome == Succeeded(b"2")
    rest = await tried.environment.rest()

    assert result.outcome == Succeeded(b"1")
    assert rest.failure == TimedOut(20)
    assert len(tried.output) < 60 << 20


async def test_an_internal_extension_takes_part_from_within_the_runtime(bench: Workbench) -> None:
    tried = bench.make("app.report_events", bench.code(app=INTERNAL))
    await tried.environment.start()

    answers = [await run_to_rest(tried) for _ in range(2)]
    outcomes = [
        json.loads(result.outcome.payload) for result, _ in answers if isinstance(result.outcome, Succeeded)
    ]

    assert outcomes[-1]["events"][:1] == ["INVOKE"]
    assert outcomes[-1]["late"] == "Extension.RegistrationClosed"
    assert "EXTENSION\tName: inside\tState: Ready\tEvents: [INVOKE]\n" in tried.output.decode()


WRAPPER = """#!/bin/sh
echo "wrapped: $@"
export GREETING=hello
exec "$@"
"""

WRAPPED = """
import os, sys, boto3, logging
def handler(event, context):
    logging.getLogger().warning("logged")
    print("printed")
    if event == "fail":
        raise ValueError("boom")
    return {"greeting": os.environ["GREETING"], "request": context.aws_request_id, "event": event,
            "main": sys.argv[0], "remaining": context.get_remaining_time_in_millis() > 1000}
"""


async def test_a_wrapper_starts_the_python_runtime(bench: Workbench) -> None:
    root = bench.code(app=WRAPPED)
    (root / "wrapper").write_text(WRAPPER)
    (root / "wrapper").chmod(0o755)
    mounted = bench.factory.level.has_namespaces or os.geteuid() == 0
    wrapper = "/var/task/wrapper" if mounted else str(root / "wrapper")
    tried = await bench.start("app.handler", root, AWS_LAMBDA_EXEC_WRAPPER=wrapper)

    answers = [(await tried.run(b'"%d"' % number)).outcome for number in range(2)]
    failed = (await tried.run(b'"fail"')).outcome

    payloads = [json.loads(answer.payload) for answer in answers if isinstance(answer, Succeeded)]
    assert [payload.pop("event") for payload in payloads] == ["0", "1"]
    assert payloads[0].pop("main").endswith("/bootstrap.py")
    assert payloads[0] == {"greeting": "hello", "request": REQUEST_ID, "remaining": True}
    assert isinstance(failed, HandlerFailed)
    document = json.loads(failed.document)
    assert (document["errorType"], document["errorMessage"]) == ("ValueError", "boom")
    assert len(document["stackTrace"]) == 1
    text = tried.output.decode()
    assert re.search(r"wrapped: \S+python\S* \S+/bootstrap.py\n", text)
    assert "[WARNING]\t" in text
    assert f"Z\t{REQUEST_ID}\tlogged\n" in text
    assert "printed\n" in text
    assert "[ERROR] ValueError: boom" in text


async def test_a_handler_that_cannot_be_imported_is_an_init_error_behind_a_wrapper(
    strongest: Workbench,
) -> None:
    tried = strongest.make(
        "absent.handler",
        strongest.code(app=WRAPPED),
        variables={"AWS_LAMBDA_EXEC_WRAPPER": "/usr/bin/env"},
    )

    error_type, message = await failed_start(tried)

    assert error_type == "Runtime.ImportModuleError"
    assert "absent" in message


INTERNAL = """
import json, os, threading, urllib.error, urllib.request

events = []

def call(path, body=None, **headers):
    url = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2020-01-01/extension/{path}"
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
        return answer.headers, json.loads(answer.read())

headers, _ = call("register", {"events": ["INVOKE"]}, **{"Lambda-Extension-Name": "inside"})
identity = {"Lambda-Extension-Identifier": headers["Lambda-Extension-Identifier"]}

def follow():
    while True:
        events.append(call("event/next", **identity)[1]["eventType"])

threading.Thread(target=follow, daemon=True).start()

def report_events(event, context):
    try:
        call("register", {"events": []}, **{"Lambda-Extension-Name": "late"})
    except urllib.error.HTTPError as error:
        return {"events": events, "late": json.loads(error.read())["errorType"]}
"""


def _naming(word: str) -> list[int]:
    """Live processes with an argument that ends in `word`."""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and any(part.endswith(word.encode()) for part in _arguments(entry))
    ]


def _arguments(process: Path) -> list[bytes]:
    try:
        return (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
