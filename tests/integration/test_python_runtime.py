"""What only the built-in Python runtime promises: AWS's errors, log lines, module search, isolation."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.environment_workbench import Tried, Workbench, workbench
from tests.waiting import until
from worker.environments.interface import Exited, HandlerFailed, InitFailed, Succeeded
from worker.environments.lifecycle import State

REQUEST_ID = "7b1c9f5e-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("library")


@pytest.fixture
async def bench(tmp_path: Path, library: Path) -> AsyncIterator[Workbench]:
    async with workbench(tmp_path, library) as bench:
        yield bench


async def failed_init(bench: Workbench, handler: str, **files: str) -> tuple[dict[str, Any], Tried]:
    tried = bench.make(handler, bench.code(**files))
    with pytest.raises(InitFailed) as failure:
        await tried.environment.start()
    document = json.loads(failure.value.document)
    assert document["errorType"] == failure.value.error_type
    return document, tried


async def failed_run(bench: Workbench, body: str, payload: bytes = b"{}") -> tuple[dict[str, Any], Tried]:
    tried = await bench.start("app.handler", bench.code(app=f"def handler(event, context):\n    {body}\n"))
    outcome = (await tried.run(payload)).outcome
    assert isinstance(outcome, HandlerFailed)
    document = json.loads(outcome.document)
    assert document["errorType"] == outcome.error_type
    return document, tried


async def value_of(bench: Workbench, handler: str, **files: str) -> Any:
    tried = await bench.start(handler, bench.code(**files))
    outcome = (await tried.run()).outcome
    assert isinstance(outcome, Succeeded), outcome
    return json.loads(outcome.payload)


async def test_a_missing_module_is_an_import_error(bench: Workbench) -> None:
    document, tried = await failed_init(bench, "absent.handler", app="")

    assert document == {
        "errorMessage": "Unable to import module 'absent': No module named 'absent'",
        "errorType": "Runtime.ImportModuleError",
        "requestId": "",
        "stackTrace": [],
    }
    assert b"[ERROR] Runtime.ImportModuleError: Unable to import module 'absent'" in tried.output


async def test_a_missing_function_is_named(bench: Workbench) -> None:
    document, _ = await failed_init(bench, "app.absent", app="")

    assert document["errorType"] == "Runtime.HandlerNotFound"
    assert document["errorMessage"] == "Handler 'absent' missing on module 'app'"


async def test_a_handler_without_a_dot_is_malformed(bench: Workbench) -> None:
    document, _ = await failed_init(bench, "app", app="")

    assert document["errorType"] == "Runtime.MalformedHandlerName"
    assert document["errorMessage"].startswith("Bad handler 'app': ")


async def test_a_syntax_error_shows_its_line(bench: Workbench) -> None:
    document, _ = await failed_init(bench, "app.handler", app="x = (\n")

    assert document["errorType"] == "Runtime.UserCodeSyntaxError"
    assert document["errorMessage"].startswith("Syntax error in module 'app': '(' was never closed")
    assert "app.py" in document["stackTrace"][0]
    assert "Line 1" in document["stackTrace"][0]


async def test_an_exception_while_importing_shows_the_functions_lines(bench: Workbench) -> None:
    document, _ = await failed_init(bench, "app.handler", app="print('on the way')\n1 / 0\n")

    assert document["errorType"] == "ZeroDivisionError"
    assert document["requestId"] == ""
    assert "app.py" in document["stackTrace"][-1]
    assert not any("_lightswitch" in line or "function_loop" in line for line in document["stackTrace"])


async def test_an_import_that_never_ends_times_out(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.environments.init_phase.INIT_SECONDS", 0.2)
    tried = bench.make("app.handler", bench.code(app="import time\ntime.sleep(60)\n"), timeout_seconds=0)

    with pytest.raises(InitFailed) as failure:
        await tried.environment.start()

    assert failure.value.error_type == "Sandbox.Timedout"
    assert b"Task timed out after 0.20 seconds" in failure.value.document


async def test_an_exception_carries_message_type_id_and_stack(bench: Workbench) -> None:
    document, tried = await failed_run(bench, "raise KeyError('lost')")

    assert document["errorMessage"] == "'lost'"
    assert document["errorType"] == "KeyError"
    assert document["requestId"] == REQUEST_ID
    (line,) = document["stackTrace"]
    assert re.match(r"  File \"/.*/app\.py\", line 2, in handler\n    raise KeyError", line)
    assert tried.output.decode().startswith("[ERROR] KeyError: 'lost'\nTraceback (most recent call last):\n")


async def test_a_result_that_is_no_json_is_a_marshal_error(bench: Workbench) -> None:
    document, tried = await failed_run(bench, "return {'when': object}")

    assert document["errorType"] == "Runtime.MarshalError"
    message = "Unable to marshal response: Object of type type is not JSON serializable"
    assert document["errorMessage"] == message
    assert tried.environment.state is State.IDLE


async def test_an_event_that_is_no_json_is_an_unmarshal_error(bench: Workbench) -> None:
    document, _ = await failed_run(bench, "return 1", b"{")

    assert document["errorType"] == "Runtime.UnmarshalError"
    assert document["errorMessage"].startswith("Unable to unmarshal input: ")


async def test_base_exceptions_end_the_process_as_on_lambda(bench: Workbench) -> None:
    root = bench.code(app="def handler(event, context):\n    raise KeyboardInterrupt('stop')\n")
    tried = await bench.start("app.handler", root)

    assert (await tried.run()).outcome == Exited("exit status 1")
    assert b"KeyboardInterrupt: stop" in tried.output


async def test_environments_start_again_after_their_directory_was_tidied_away(
    bench: Workbench, tmp_path: Path
) -> None:
    (scratch,) = (tmp_path / "worker" / "scratch").iterdir()
    scratch.rmdir()

    assert await value_of(bench, "app.handler", app="def handler(event, context):\n    return 1\n") == 1


async def test_the_interpreter_looks_as_on_lambda(bench: Workbench) -> None:
    text = (
        "import sys\n"
        "def handler(event, context):\n"
        "    return [sys.argv, callable(exit), callable(help), sys.path[0] == sys.path[0].rstrip('/')]\n"
        "def leave(event, context):\n"
        "    exit(3)\n"
    )
    leaving = await bench.start("app.leave", bench.code(app=text))

    assert await value_of(bench, "app.handler", app=text) == [["bootstrap"], True, True, True]
    assert (await leaving.run()).outcome == Exited("exit status 3")


async def test_the_main_module_is_none_of_ours(bench: Workbench) -> None:
    body = "import __main__; return [__main__.__name__, hasattr(__main__, '__file__')]"
    assert await value_of(bench, "app.handler", app=f"def handler(event, context):\n    {body}\n") == [
        "__main__",
        False,
    ]


async def test_processes_and_threads_of_the_function_work(bench: Workbench) -> None:
    text = (
        "import multiprocessing, os, random, subprocess, sys, uuid\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def square(number, out):\n"
        "    out.send(number * number)\n"
        "def handler(event, context):\n"
        "    ours, theirs = multiprocessing.Pipe()\n"
        "    process = multiprocessing.get_context('spawn').Process(target=square, args=(4, theirs))\n"
        "    process.start(); process.join()\n"
        "    with ThreadPoolExecutor(2) as pool:\n"
        "        threads = list(pool.map(abs, [-1, -2]))\n"
        "    shell = subprocess.run([sys.executable, '-c', 'print(5)'], capture_output=True, text=True)\n"
        "    return [ours.recv(), threads, shell.stdout.strip(), random.random(), str(uuid.uuid4())]\n"
    )

    first = await value_of(bench, "app.handler", app=text)
    second = await value_of(bench, "app.handler", app=text)

    assert first[:3] == [16, [1, 2], "5"]
    assert first[3] != second[3]
    assert first[4] != second[4]


async def test_decimals_become_numbers_and_bytes_go_out_as_they_are(bench: Workbench) -> None:
    root = bench.code(
        app="from decimal import Decimal\n"
        "def handler(event, context):\n"
        "    return {'a': [Decimal('1.10'), Decimal('NaN')], 'b': 'ä'} if event else b'\\xffraw'\n"
    )
    tried = await bench.start("app.handler", root)

    number, raw = (await tried.run(b"1")).outcome, (await tried.run(b"0")).outcome

    assert isinstance(number, Succeeded)
    assert number.payload.startswith(b'{"a": [1.10, NaN], "b": "')
    assert json.loads(number.payload)["b"] == "ä"
    assert raw == Succeeded(b"\xffraw")


async def test_handlers_in_folders_are_found(bench: Workbench) -> None:
    text = "def handler(event, context):\n    return 'found'\n"

    assert await value_of(bench, "folder/deep.handler", folder__deep=text) == "found"


@pytest.mark.parametrize(
    "name",
    ["worker", "broker", "gateway", "triggers", "deploy", "zygote", "frames", "context", "queue", "ssl"],
)
async def test_a_handler_may_have_the_name_of_any_module(bench: Workbench, name: str) -> None:
    text = "def handler(event, context):\n    return __file__\n"

    found = await value_of(bench, f"{name}.handler", **{name: text})

    assert found.endswith(f"/{name}.py")


async def test_a_functions_modules_come_before_the_standard_librarys(bench: Workbench) -> None:
    text = "import queue, csv, json\ndef handler(event, context):\n    return [queue.MINE, csv.MINE]\n"

    assert await value_of(bench, "app.handler", app=text, queue="MINE = 1", csv="MINE = 2") == [1, 2]


async def test_a_file_named_like_a_module_of_the_runtime_does_no_harm(bench: Workbench) -> None:
    text = "def handler(event, context):\n    return 'fine'\n"
    files = dict.fromkeys(("json", "logging", "traceback", "os"), "raise RuntimeError('shadow')")

    assert await value_of(bench, "app.handler", app=text, **files) == "fine"


async def test_nothing_of_the_platform_can_be_imported(bench: Workbench) -> None:
    text = (
        "import importlib.util\n"
        "names = ['msgspec', 'redis', 'fastapi', 'uvloop', 'worker', 'broker', 'gateway', 'click']\n"
        "def handler(event, context):\n"
        "    return [name for name in names if importlib.util.find_spec(name)]\n"
    )

    assert await value_of(bench, "app.handler", app=text) == []


async def test_boto3_is_there_and_a_packaged_one_wins(bench: Workbench) -> None:
    text = (
        "import boto3\n"
        "def handler(event, context):\n"
        "    return getattr(boto3, 'MINE', '') or boto3.__version__\n"
    )

    assert re.match(r"1\.\d+", await value_of(bench, "app.handler", app=text))
    assert await value_of(bench, "app.handler", app=text, boto3="MINE = 'packaged'") == "packaged"


async def test_log_lines_carry_level_time_and_request_id(bench: Workbench) -> None:
    root = bench.code(
        app="import logging\n"
        "logging.getLogger().setLevel('INFO')\n"
        "logging.warning('during init')\n"
        "def handler(event, context):\n"
        "    logging.getLogger('mine').info('hello %s', event)\n"
        "    context.log('plain')\n"
    )
    tried = await bench.start("app.handler", root)
    await tried.run(b'"you"')

    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    init, run, plain = tried.output.decode().split("\n")
    assert re.fullmatch(rf"\[WARNING\]\t{time}\t\tduring init", init)
    assert re.fullmatch(rf"\[INFO\]\t{time}\t{REQUEST_ID}\thello you", run)
    assert plain == "plain"


async def test_lines_of_json_say_what_lambda_s_say(bench: Workbench) -> None:
    root = bench.code(
        app="import logging\n"
        "log = logging.getLogger('mine')\n"
        "def handler(event, context):\n"
        "    log.debug('too fine')\n"
        "    log.info('hello %s', event, extra={'order': 7, 'by': object})\n"
        "    log.warning({'as': 'an object'})\n"
        "    try:\n"
        "        1 / 0\n"
        "    except ArithmeticError:\n"
        "        log.exception('calculated')\n"
        "    print('as it is')\n"
        "    raise LookupError('not caught')\n"
    )
    tried = bench.make("app.handler", root, log_format="JSON")
    await tried.environment.start()
    await tried.run(b'"you"')

    *lines, plain, uncaught = tried.output.decode().splitlines()
    hello, as_object, calculated = (json.loads(line) for line in lines)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", hello.pop("timestamp"))
    assert hello == {
        "level": "INFO", "message": "hello you", "logger": "mine", "requestId": REQUEST_ID,
        "order": 7, "by": "<class 'object'>",
    }  # fmt: skip
    assert (as_object["level"], as_object["message"]) == ("WARNING", {"as": "an object"})
    assert (calculated["errorType"], calculated["errorMessage"]) == ("ZeroDivisionError", "division by zero")
    assert calculated["location"] == "/var/task/app.py:handler:10"
    assert "1 / 0" in calculated["stackTrace"][0]
    assert plain == "as it is"
    error = json.loads(uncaught)
    assert (error["level"], error["errorType"], error["errorMessage"]) == (
        "ERROR", "LookupError", "not caught",
    )  # fmt: skip


async def test_the_trace_header_follows_each_run(bench: Workbench) -> None:
    root = bench.code(
        app="import os\ndef handler(event, context):\n    return os.environ.get('_X_AMZN_TRACE_ID')\n"
    )
    tried = await bench.start("app.handler", root)

    outcomes = [(await tried.run(trace_header=header)).outcome for header in ("Root=1", "Root=2", "")]

    assert outcomes == [Succeeded(b'"Root=1"'), Succeeded(b'"Root=2"'), Succeeded(b"null")]


async def test_the_whole_context_is_there(bench: Workbench) -> None:
    text = (
        "def handler(event, context):\n"
        "    c = context.client_context\n"
        "    return [c.client.app_title, c.custom, c.env, context.identity.cognito_identity_id,\n"
        "            context.function_name, context.function_version, context.log_group_name,\n"
        "            0 < context.get_remaining_time_in_millis() <= 20000, 'tried' in repr(context)]\n"
    )
    tried = await bench.start("app.handler", bench.code(app=text))
    client_context = json.dumps({"client": {"app_title": "t"}, "custom": {"a": 1}, "env": {"b": "c"}})

    outcome = (await tried.run(client_context=client_context)).outcome

    assert isinstance(outcome, Succeeded)
    expected = ["t", {"a": 1}, {"b": "c"}, None, "tried", "$LATEST", "/aws/lambda/tried", True, True]
    assert json.loads(outcome.payload) == expected


@pytest.mark.parametrize(
    "message",
    ["b'\\xff\\xff\\xff\\xff'", "b'\\0' * 13", "b'garbage, long enough to be taken for a frame'"],
)
async def test_a_function_that_writes_on_the_channel_is_destroyed_and_nobody_else(
    bench: Workbench, message: str
) -> None:
    root = bench.code(
        app=f"import os\ndef handler(event, context):\n    os.write(3, {message})\n    return 1\n"
    )
    hostile = await bench.start("app.handler", root)
    other = await bench.start("app.handler", bench.code(app="def handler(event, context):\n    return 2\n"))

    assert (await hostile.run()).outcome == Exited("signal: killed")
    assert hostile.environment.state is State.GONE
    assert (await other.run()).outcome == Succeeded(b"2")


async def test_a_second_answer_destroys_the_environment(bench: Workbench) -> None:
    root = bench.code(
        app="import os, struct, threading, time\n"
        "def late():\n"
        "    time.sleep(0.05)\n"
        "    os.write(3, struct.pack('<IIBI', 10, 1, 1, 1) + b'7')\n"
        "def handler(event, context):\n"
        "    threading.Thread(target=late).start()\n"
    )
    tried = await bench.start("app.handler", root)
    await tried.run()

    await until(tried.gone.is_set)
    await until(lambda: tried.environment.state is State.GONE)


async def test_a_function_that_closes_its_channel_ends(bench: Workbench) -> None:
    root = bench.code(
        app="import os, time\ndef handler(event, context):\n    os.close(3)\n    time.sleep(60)\n"
    )
    tried = await bench.start("app.handler", root)

    outcome = (await tried.run(seconds=15)).outcome

    assert outcome == Exited("signal: killed") or isinstance(outcome, Exited)
    assert tried.environment.state is State.GONE


async def test_a_function_that_replaces_its_streams_still_answers(bench: Workbench) -> None:
    text = (
        "import sys\n"
        "def handler(event, context):\n"
        "    sys.stdout.close()\n"
        "    sys.stderr = None\n"
        "    return 1\n"
    )

    assert await value_of(bench, "app.handler", app=text) == 1


async def test_endless_output_does_not_hold_the_answer_back(bench: Workbench) -> None:
    root = bench.code(
        app="import os, threading\n"
        "def flood():\n"
        "    while True:\n"
        "        os.write(1, b'x' * 4096)\n"
        "def handler(event, context):\n"
        "    threading.Thread(target=flood, daemon=True).start()\n"
        "    return 'done'\n"
    )
    tried = await bench.start("app.handler", root)

    result = await tried.run()
    assert result.outcome == Succeeded(b'"done"')
    await tried.environment.stop()


async def test_a_dead_zygote_takes_its_environments_and_is_replaced(bench: Workbench) -> None:
    root = bench.code(
        app="import os, time\ndef handler(event, context):\n    print('sleeping')\n    time.sleep(event)\n"
    )
    idle, busy = await bench.start("app.handler", root), await bench.start("app.handler", root)
    await idle.run(b"0")
    running = asyncio.create_task(busy.run(b"60"))
    await until(lambda: b"sleeping" in busy.output)

    os.kill(parent_of(idle.environment.pid), signal.SIGKILL)
    ended = await running
    await until(idle.gone.is_set)
    await idle.environment.stop()
    again = await bench.start("app.handler", root)

    assert ended.outcome == Exited("signal: killed")
    assert (idle.environment.state, busy.environment.state) == (State.GONE, State.GONE)
    assert isinstance((await again.run(b"0")).outcome, Succeeded)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give environments their own users")
async def test_the_code_is_read_only_and_the_host_out_of_reach(bench: Workbench) -> None:
    if bench.factory.problems():
        pytest.skip(f"this machine is limited: {bench.factory.problems()}")
    text = (
        "import os\n"
        "def attempt(path, mode='r'):\n"
        "    try:\n"
        "        open(path, mode).close()\n"
        "    except OSError as error:\n"
        "        return error.errno\n"
        "def handler(event, context):\n"
        "    parent = os.getppid() or 1\n"
        "    return [attempt('app.py', 'a'), attempt('/etc/shadow'), attempt(f'/proc/{parent}/environ'),\n"
        "            attempt('/tmp/x', 'w')]\n"
    )
    root = bench.code(app=text)
    (root / "app.py").chmod(0o666)
    tried = await bench.start("app.handler", root)

    outcome = (await tried.run()).outcome

    assert isinstance(outcome, Succeeded)
    assert json.loads(outcome.payload) == [errno.EROFS, errno.ENOENT, errno.EACCES, None]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def test_a_fork_bomb_is_bounded_and_dies(bench: Workbench) -> None:
    if os.geteuid() != 0 or bench.factory.problems():
        pytest.skip("without a uid of its own a fork bomb would hit the machine")
    text = (
        "import os, time\n"
        "def handler(event, context):\n"
        "    for _ in range(300):\n"
        "        if os.fork() == 0:\n"
        "            os.setsid()\n"
        "            while True:\n"
        "                time.sleep(1)\n"
        "    return os.getuid()\n"
    )
    tried = await bench.start("app.handler", bench.code(app=text))
    outcome = (await tried.run()).outcome
    assert isinstance(outcome, Succeeded)
    uid = int(outcome.payload)
    assert processes_of(uid) == 301

    await tried.environment.stop()

    assert processes_of(uid) == 0


def processes_of(uid: int) -> int:
    """How many live processes a uid has; dead ones wait for whoever adopted them."""
    processes = [Path(entry.path) for entry in os.scandir("/proc") if entry.name.isdigit()]
    return sum(1 for process in processes if is_alive_under(process, uid))


def is_alive_under(process: Path, uid: int) -> bool:
    try:
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        return process.stat().st_uid == uid and state != "Z"
    except OSError:
        return False
