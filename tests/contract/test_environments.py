"""One suite for every kind of runtime: ours over frames, AWS's client and a bootstrap over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.environment_workbench import (
    CHILDREN,
    FUNCTION_ARN,
    Kind,
    Tried,
    Workbench,
    processes_naming,
    workbench,
)
from tests.waiting import until
from worker.environments.interface import Exited, HandlerFailed, InitFailed, NotRun, Succeeded, TimedOut
from worker.environments.lifecycle import IllegalTransition, State
from worker.sandbox.levels import Level

KINDS: tuple[Kind, ...] = ("python", "awslambdaric", "bootstrap", "prewarmed")
BY_HAND: tuple[Kind, ...] = ("bootstrap", "prewarmed")
"""Kinds whose runtime is the suite's own."""
LIMIT_BYTES = 6_291_556


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("library")


@pytest.fixture
async def bench(tmp_path: Path, library: Path) -> AsyncIterator[Workbench]:
    async with workbench(tmp_path, library) as bench:
        yield bench


@pytest.fixture(params=KINDS)
async def kind(request: pytest.FixtureRequest, bench: Workbench) -> Kind:
    kind: Kind = request.param
    if kind == "prewarmed":
        if bench.factory.level < Level.L2:
            pytest.skip("no process can wait for its function at this level")
        await bench.prewarm()
    return kind


async def start(bench: Workbench, kind: Kind, function: str, **variables: str) -> Tried:
    return await bench.start(f"app.{function}", bench.suite_code(kind), kind, **variables)


def payload_of(result: Any) -> Any:
    assert isinstance(result.outcome, Succeeded), result
    return json.loads(result.outcome.payload)


async def test_the_response_is_the_handlers_result(bench: Workbench, kind: Kind) -> None:
    tried = await start(bench, kind, "echo")
    event = {"text": "é\U0001f600", "list": [1, 2.5, None, True]}

    assert payload_of(await tried.run(json.dumps(event).encode())) == event
    assert tried.environment.state is State.IDLE


async def test_an_environment_runs_again_and_again(bench: Workbench, kind: Kind) -> None:
    tried = await start(bench, kind, "echo")

    answers = [payload_of(await tried.run(b"%d" % number)) for number in range(50)]

    assert answers == list(range(50))


async def test_files_in_the_temporary_directory_stay_for_the_next_run(bench: Workbench, kind: Kind) -> None:
    first = await start(bench, kind, "use_temporary_files")
    second = await start(bench, kind, "use_temporary_files")

    counts = [payload_of(await tried.run()) for tried in (first, first, second)]

    assert counts == [1, 2, 1]


async def test_an_error_of_the_handler_is_reported_and_the_environment_lives_on(
    bench: Workbench, kind: Kind
) -> None:
    tried = await start(bench, kind, "fail")

    for _ in range(2):
        outcome = (await tried.run()).outcome
        assert isinstance(outcome, HandlerFailed)
        assert outcome.error_type == "ValueError"
        assert json.loads(outcome.document)["errorMessage"] == "boom"
    assert tried.environment.state is State.IDLE


async def test_all_output_is_delivered_before_the_run_returns(bench: Workbench, kind: Kind) -> None:
    tried = await start(bench, kind, "talk")

    await tried.run()

    for text in (b"to stdout\n", b"to stderr\n", b"past the streams\n", b"no line end"):
        assert text in tried.output


async def test_more_output_than_a_pipe_holds_arrives_whole_and_in_order(bench: Workbench, kind: Kind) -> None:
    tried = await start(bench, kind, "flood")

    await tried.run(b"5000")

    lines = tried.output.decode().splitlines()
    assert [int(line) for line in lines] == list(range(5000))


async def test_a_run_past_its_deadline_destroys_the_environment(bench: Workbench, kind: Kind) -> None:
    tried = await start(bench, kind, "sleep")

    result = await tried.run(b"60", seconds=0.3)

    assert result.outcome == TimedOut(timeout_seconds=20)
    assert 250 <= result.duration_ms < 2000
    assert tried.environment.state is State.GONE
    assert b"sleeping" in tried.output or kind in BY_HAND


@pytest.mark.parametrize(("status", "cause"), [(0, ""), (1, "exit status 1"), (64, "exit status 64")])
async def test_a_handler_that_exits_ends_the_environment(
    bench: Workbench, kind: Kind, status: int, cause: str
) -> None:
    tried = await start(bench, kind, "leave")

    assert (await tried.run(b"%d" % status)).outcome == Exited(cause)
    assert tried.environment.state is State.GONE


@pytest.mark.parametrize(
    ("number", "cause"), [("SIGKILL", "signal: killed"), ("SIGSEGV", "signal: segmentation fault")]
)
async def test_a_crash_is_named_by_its_signal(bench: Workbench, kind: Kind, number: str, cause: str) -> None:
    tried = await start(bench, kind, "die")

    assert (await tried.run(json.dumps(number).encode())).outcome == Exited(cause)


async def test_the_function_sees_its_whole_context(bench: Workbench, kind: Kind) -> None:
    tried = await start(bench, kind, "describe", GREETING="hello")
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
    context = json.dumps({"custom": {"key": "ü\n"}}, ensure_ascii=False, indent=1)

    seen = payload_of(await tried.run(seconds=15, trace_header=trace, client_context=context))

    environ = seen["environ"]
    assert environ["GREETING"] == "hello"
    assert environ["_X_AMZN_TRACE_ID"] == trace
    assert environ["AWS_LAMBDA_LOG_STREAM_NAME"] == tried.environment.log_stream == seen["log_stream"]
    assert environ["LAMBDA_TASK_ROOT"] == seen["directory"]
    assert (seen["arn"], seen["memory"]) == (FUNCTION_ARN, "1769")
    assert seen["custom"] == {"key": "ü\n"}
    assert seen["remaining_ms"] > 0


async def test_the_function_sees_nothing_of_the_workers_environment(
    bench: Workbench, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHTSWITCH_SECRET", "s3cr3t")
    tried = await start(bench, kind, "describe")

    seen = payload_of(await tried.run())

    assert "s3cr3t" not in json.dumps(seen)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give environments their own users")
async def test_each_environment_has_its_own_user(bench: Workbench, kind: Kind) -> None:
    if bench.factory.problems():
        pytest.skip(f"this machine is limited: {bench.factory.problems()}")
    first, second = await start(bench, kind, "describe"), await start(bench, kind, "describe")

    uids = {payload_of(await tried.run())["uid"] for tried in (first, second)}

    assert len(uids) == 2
    assert 0 not in uids


@pytest.mark.parametrize("ending", ["stop", "time-out", "factory"])
async def test_children_of_every_sort_die_with_their_environment(
    bench: Workbench, kind: Kind, ending: str
) -> None:
    tried = await start(bench, kind, "leave_children")
    token = uuid.uuid4().hex
    await tried.run(json.dumps(token).encode())
    assert len(processes_naming(token)) == CHILDREN

    if ending == "stop":
        await tried.environment.stop()
    elif ending == "time-out":
        await tried.run(json.dumps(token).encode(), seconds=0)  # takes longer than no time
    else:
        await bench.factory.close()

    assert processes_naming(token) == []


async def test_a_response_of_the_limit_passes_and_one_byte_more_does_not(
    bench: Workbench, kind: Kind
) -> None:
    tried = await start(bench, kind, "large")

    largest = (await tried.run(b"%d" % LIMIT_BYTES)).outcome
    too_large = (await tried.run(b"%d" % (LIMIT_BYTES + 1))).outcome

    assert isinstance(largest, Succeeded)
    assert len(largest.payload) == LIMIT_BYTES
    assert isinstance(too_large, HandlerFailed)
    assert too_large.error_type == "Function.ResponseSizeTooLarge"
    message = json.loads(too_large.document)["errorMessage"]
    assert message == "Response payload size exceeded maximum allowed payload size (6291556 bytes)."


async def test_a_request_of_the_limit_arrives(bench: Workbench, kind: Kind) -> None:
    tried = await start(bench, kind, "echo")
    payload = json.dumps("x" * (LIMIT_BYTES - 2)).encode()

    outcome = (await tried.run(payload)).outcome

    assert isinstance(outcome, Succeeded)
    assert outcome.payload == payload


async def test_memory_used_is_reported(bench: Workbench, kind: Kind) -> None:
    tried = await start(bench, kind, "echo")

    assert 5 < (await tried.run()).max_memory_used_mb < 100


async def test_a_module_that_is_missing_fails_the_init(bench: Workbench, kind: Kind) -> None:
    tried = bench.make("absent.handler", bench.suite_code(kind), kind)

    with pytest.raises(InitFailed) as failure:
        await tried.environment.start()

    expected = "ModuleNotFoundError" if kind in BY_HAND else "Runtime.ImportModuleError"
    assert failure.value.error_type == expected
    assert "No module named 'absent'" in json.loads(failure.value.document)["errorMessage"]
    assert failure.value.duration_ms > 0
    assert tried.environment.state is State.GONE


async def test_an_exit_during_init_fails_it(bench: Workbench, kind: Kind) -> None:
    root = bench.suite_code(kind)
    (root / "leaving.py").write_text("import sys\nsys.exit(3)\n")
    tried = bench.make("leaving.handler", root, kind)

    with pytest.raises(InitFailed) as failure:
        await tried.environment.start()

    assert failure.value.error_type == "Runtime.ExitError"
    assert "exit status 3" in json.loads(failure.value.document)["errorMessage"]


async def test_an_idle_environment_that_dies_says_so(bench: Workbench, kind: Kind) -> None:
    root = bench.suite_code(kind)
    (root / "later.py").write_text(
        "import os, threading\n"
        "def handler(event, context):\n"
        "    threading.Timer(0.05, os._exit, (1,)).start()\n"
    )
    tried = await bench.start("later.handler", root, kind)
    await tried.run()

    async with asyncio.timeout(10):
        await tried.gone.wait()
    await tried.environment.stop()

    assert tried.environment.state is State.GONE


@pytest.mark.parametrize("children", [0, 1])
async def test_work_that_a_dead_python_runtime_never_read_is_not_run(bench: Workbench, children: int) -> None:
    text = (
        "import os, time\n"
        "def handler(event, context):\n"
        "    if event and os.fork() == 0:\n"
        "        time.sleep(600)\n"
        "    return os.getpid()\n"
    )
    tried = await bench.start("app.handler", bench.code(app=text))
    await tried.run(b"%d" % children)

    os.kill(tried.environment.pid, signal.SIGKILL)
    with pytest.raises(NotRun):
        await tried.run()

    assert tried.environment.state is State.GONE


async def test_work_that_an_ending_http_runtime_never_asked_for_is_not_run(bench: Workbench) -> None:
    tried = await start(bench, "awslambdaric", "large")
    await tried.run(b"%d" % (LIMIT_BYTES + 1))

    # The client gives up for good when its answer is refused.
    with pytest.raises(NotRun):
        await tried.run(b"100")

    assert tried.environment.state is State.GONE


async def test_cancelling_a_run_destroys_the_environment(bench: Workbench, kind: Kind) -> None:
    tried = await start(bench, kind, "sleep")
    run = asyncio.create_task(tried.run(b"60"))
    if kind in BY_HAND:
        await asyncio.sleep(0)
    else:
        await until(lambda: b"sleeping" in tried.output)

    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run

    assert tried.environment.state is State.GONE


async def test_cancelling_a_start_leaves_nothing_behind(bench: Workbench, kind: Kind) -> None:
    root = bench.suite_code(kind)
    (root / "slow.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    tried = bench.make("slow.handler", root, kind)
    starting = asyncio.create_task(tried.environment.start())
    await until(lambda: b"importing" in tried.output)

    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert tried.environment.state is State.GONE


async def test_stopping_twice_is_fine_and_a_stopped_environment_runs_nothing(
    bench: Workbench, kind: Kind
) -> None:
    tried = await start(bench, kind, "echo")

    await asyncio.gather(tried.environment.stop(), tried.environment.stop())
    await tried.environment.stop()

    with pytest.raises(IllegalTransition):
        await tried.run()
    assert not tried.gone.is_set()


async def test_a_second_run_at_the_same_time_is_refused(bench: Workbench, kind: Kind) -> None:
    tried = await start(bench, kind, "sleep")
    run = asyncio.create_task(tried.run(b"0.2"))
    await asyncio.sleep(0)

    with pytest.raises(IllegalTransition):
        await tried.run()

    assert payload_of(await run) == "slept"
