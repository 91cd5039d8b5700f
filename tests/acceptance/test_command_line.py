"""The life of a function from the command line, against real processes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from broker.invocation import Outcome
from tests.acceptance.command_line import PROGRAM, CommandLine, clean_environ
from tests.acceptance.conftest import WriteFunction

ECHO = """
import os

def handler(event, context):
    print("got", event)
    return {"event": event, "greeting": os.environ.get("GREETING"), "limit": context.memory_limit_in_mb}
"""
FAILS = """
def handler(event, context):
    raise ValueError("no light")
"""


@pytest.fixture
def echo(command_line: CommandLine, function_name: str, write_function: WriteFunction) -> str:
    done = command_line.run(
        "deploy", write_function(ECHO), "--handler", "app.handler", "--name", function_name
    )
    assert done.returncode == 0, done.stderr
    return function_name


def test_deploy_prints_the_arn(
    command_line: CommandLine, function_name: str, write_function: WriteFunction
) -> None:
    done = command_line.run(
        "deploy", write_function(ECHO), "--handler", "app.handler", "--name", function_name
    )

    assert done.stdout == f"arn:aws:lambda:us-east-1:123456789012:function:{function_name}\n"
    assert done.stderr.startswith(f"created {function_name} (")


def test_a_second_deploy_updates_code_and_settings(
    command_line: CommandLine, echo: str, write_function: WriteFunction
) -> None:
    changed = write_function(ECHO.replace("got", "received"))
    settings = ("--memory", "256", "--timeout", "7", "--env", "GREETING=hello")
    done = command_line.run("deploy", changed, "--name", echo, *settings)
    assert done.stderr.startswith(f"updated {echo} ("), done.stderr

    invoked = command_line.run("invoke", echo, "--log")

    assert json.loads(invoked.stdout) == {"event": {}, "greeting": "hello", "limit": "256"}
    assert "received {}" in invoked.stderr


def test_a_new_function_needs_a_handler(
    command_line: CommandLine, function_name: str, write_function: WriteFunction
) -> None:
    done = command_line.run("deploy", write_function(ECHO), "--name", function_name)

    assert done.returncode == 1
    assert done.stderr == (
        f"lightswitch: {function_name} is new: say where its code starts, e.g. --handler app.handler\n"
    )


def test_a_program_named_bootstrap_needs_no_handler(
    command_line: CommandLine, function_name: str, tmp_path: Path
) -> None:
    bootstrap = tmp_path / "bootstrap"
    bootstrap.write_text("#!/bin/sh\nexit 7\n")
    bootstrap.chmod(0o755)

    done = command_line.run("deploy", tmp_path, "--name", function_name, "--runtime", "provided.al2023")

    assert done.stderr.startswith(f"created {function_name} ("), done.stderr
    assert "exit status 7" in command_line.run("invoke", function_name).stdout


def test_invoke_prints_the_result_and_nothing_else_on_stdout(command_line: CommandLine, echo: str) -> None:
    done = command_line.run("invoke", echo, "--payload", '{"a": [1, "ü"]}')

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["event"] == {"a": [1, "ü"]}
    assert done.stderr.startswith("success, version $LATEST, ")


def test_payloads_come_from_files_and_pipes_too(command_line: CommandLine, echo: str, tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text('{"from": "file"}')

    from_file = command_line.run("invoke", echo, "--payload", f"@{tmp_path}/event.json")
    from_pipe = command_line.run("invoke", echo, stdin='{"from": "pipe"}')

    assert json.loads(from_file.stdout)["event"] == {"from": "file"}
    assert json.loads(from_pipe.stdout)["event"] == {"from": "pipe"}


def test_a_function_error_is_printed_and_told_by_the_exit_status(
    command_line: CommandLine, function_name: str, write_function: WriteFunction
) -> None:
    command_line.run("deploy", write_function(FAILS), "--handler", "app.handler", "--name", function_name)

    done = command_line.run("invoke", function_name, "--log")

    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert (document["errorType"], document["errorMessage"]) == ("ValueError", "no light")
    assert "START RequestId: " in done.stderr
    assert "function error Unhandled" in done.stderr


def test_an_asynchronous_invocation_can_be_followed_to_its_end(command_line: CommandLine, echo: str) -> None:
    accepted = command_line.run("invoke", echo, "--async", "--payload", '{"a": 1}')
    assert accepted.returncode == 0, accepted.stderr
    request_id = accepted.stdout.strip()

    done = command_line.run("status", request_id, "--wait", "30")

    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert set(outcome) >= {"request_id", "function_name", "status", "attempts"}
    assert (outcome["request_id"], outcome["status"], outcome["attempts"]) == (request_id, "succeeded", 1)
    assert set(outcome) <= set(Outcome.__struct_fields__)


def test_logs_show_what_the_function_printed(command_line: CommandLine, echo: str) -> None:
    command_line.run("invoke", echo, "--payload", '{"n": 42}')

    done = command_line.run("logs", echo)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "got {'n': 42}" in lines
    assert any(line.startswith("REPORT RequestId: ") for line in lines)


def test_every_line_of_a_log_may_begin_with_its_time(command_line: CommandLine, echo: str) -> None:
    command_line.run("invoke", echo)

    plain = command_line.run("logs", echo).stdout.splitlines()
    timed = command_line.run("logs", echo, "--timestamps").stdout.splitlines()

    parts = [re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (.*)", line) for line in timed]
    assert [part and part[1] for part in parts] == plain


def test_functions_are_listed_until_they_are_deleted(command_line: CommandLine, echo: str) -> None:
    listed = [line.split("\t")[0] for line in command_line.run("list").stdout.splitlines()]
    assert echo in listed

    assert command_line.run("delete", echo).returncode == 0

    assert echo not in command_line.run("list").stdout
    gone = command_line.run("invoke", echo)
    assert gone.returncode == 1
    assert gone.stderr.startswith(
        "lightswitch: ResourceNotFoundException: Function not found: arn:aws:lambda:"
    )
    assert gone.stderr.count("\n") == 1


def test_workers_are_listed(command_line: CommandLine) -> None:
    done = command_line.run("workers")

    assert done.returncode == 0, done.stderr
    [fields] = [line.split("\t") for line in done.stdout.splitlines()]
    assert fields[6] == "alive"
    assert "python3." in fields[7]


def test_doctor_finds_the_running_system(command_line: CommandLine) -> None:
    done = command_line.run("doctor")

    assert done.returncode == 0, done.stdout
    assert "ready at http://127.0.0.1:" in done.stdout
    assert "workers         1 alive" in done.stdout


def test_an_unknown_request_id_is_an_error_in_one_line(command_line: CommandLine) -> None:
    done = command_line.run("status", "11111111-2222-3333-4444-555555555555")

    assert done.returncode == 1
    assert done.stderr.startswith("lightswitch: No asynchronous invocation 11111111-")
    assert done.stderr.count("\n") == 1


def test_logs_can_be_followed_until_ctrl_c(command_line: CommandLine, echo: str) -> None:
    command = [str(PROGRAM), "logs", echo, "--follow", "--data-dir", str(command_line.data_dir)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environ()
    ) as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        for number in (1, 2):
            command_line.run("invoke", echo, "--payload", f'{{"n": {number}}}')
            assert any(line == f"got {{'n': {number}}}\n" for line in follower.stdout)

        follower.send_signal(signal.SIGINT)

        assert follower.wait(10) == 130
        assert follower.stderr.read().strip() == ""
