"""`lightswitch up` from its start to its end, with the processes that it runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.command_line import PROGRAM, CommandLine, clean_environ, run_program
from tests.acceptance.conftest import WriteFunction, everything_said
from tests.acceptance.processes import until_gone
from tests.live_system import LiveSystem, Role

CODE = "def handler(event, context):\n    return 'on'\n"
SLOW = "import time\n\ndef handler(event, context):\n    time.sleep(6)\n    return 'done'\n"

Start = Callable[..., LiveSystem]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def start(data_dir: Path) -> Iterator[Start]:
    """Start systems on `data_dir`, one after the other."""
    systems: list[LiveSystem] = []

    def start_one(*arguments: str) -> LiveSystem:
        systems.append(LiveSystem(data_dir, arguments))
        return systems[-1]

    yield start_one
    for system in systems:
        system.close()
        print(everything_said(system))


def until_another(system: LiveSystem, role: Role, old: int, within_seconds: float = 15) -> None:
    deadline = time.monotonic() + within_seconds
    while not set(system.pids(role)) - {old}:
        assert time.monotonic() < deadline, f"no new {role}\n{everything_said(system)}"
        time.sleep(0.02)


def invoke_until_it_works(shell: CommandLine, name: str, within_seconds: float = 30) -> str:
    deadline = time.monotonic() + within_seconds
    while True:
        done = shell.run("invoke", name)
        if done.returncode == 0:
            return done.stdout
        assert time.monotonic() < deadline, done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything(
    start: Start, data_dir: Path, write_function: WriteFunction, number: signal.Signals
) -> None:
    system = start()
    shell = CommandLine(data_dir)
    shell.run("deploy", write_function(CODE), "--handler", "app.handler", "--name", "f")
    assert shell.run("invoke", "f").stdout == '"on"\n'
    family = system.processes()
    assert len(family) > 3  # redis, worker, gateway, and what runs the function

    os.kill(system.pid, number)

    assert system.wait() == 0
    until_gone(family, within_seconds=1)
    assert not (data_dir / "up.json").exists()
    said = system.log_file.read_text()
    assert said.index("stopping gateway") < said.index("stopping worker-1") < said.index("stopping redis")


def test_a_second_start_finds_the_functions_of_the_first(
    start: Start, data_dir: Path, write_function: WriteFunction
) -> None:
    shell = CommandLine(data_dir)
    first = start()
    keys = (data_dir / "credentials.json").read_bytes()
    assert (
        shell.run("deploy", write_function(CODE), "--handler", "app.handler", "--name", "f").returncode == 0
    )
    first.close()

    start()

    assert shell.run("invoke", "f").stdout == '"on"\n'
    assert (data_dir / "credentials.json").read_bytes() == keys
    assert stat.S_IMODE((data_dir / "credentials.json").stat().st_mode) == 0o600


def test_what_runs_at_the_signal_is_finished(
    start: Start, data_dir: Path, write_function: WriteFunction
) -> None:
    system = start()
    shell = CommandLine(data_dir)
    shell.run("deploy", write_function(SLOW), "--handler", "app.handler", "--name", "f", "--timeout", "20")
    shell.run("invoke", "f")
    command = [str(PROGRAM), "invoke", "f", "--data-dir", str(data_dir)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environ()
    ) as caller:
        until_running(shell)

        os.kill(system.pid, signal.SIGINT)

        out, err = caller.communicate(timeout=30)
    assert (caller.returncode, out) == (0, b'"done"\n'), err
    assert system.wait() == 0


def until_running(shell: CommandLine, within_seconds: float = 10) -> None:
    """Return when a worker says that it runs something."""
    deadline = time.monotonic() + within_seconds
    while shell.run("workers").stdout.split("\t")[3] == "0":
        assert time.monotonic() < deadline


def test_a_second_signal_does_not_wait(start: Start, data_dir: Path, write_function: WriteFunction) -> None:
    system = start("--drain-seconds", "60")
    shell = CommandLine(data_dir)
    endless = "import time\n\ndef handler(event, context):\n    time.sleep(600)\n"
    shell.run(
        "deploy", write_function(endless), "--handler", "app.handler", "--name", "f", "--timeout", "900"
    )
    shell.run("invoke", "f", "--async")
    until_running(shell)
    family = system.processes()

    os.kill(system.pid, signal.SIGINT)
    while "stopping gateway" not in system.log_file.read_text():
        time.sleep(0.01)
    os.kill(system.pid, signal.SIGINT)

    system.wait()
    until_gone(family, within_seconds=5)


def test_nothing_survives_when_up_itself_is_killed(
    start: Start, data_dir: Path, write_function: WriteFunction
) -> None:
    system = start()
    shell = CommandLine(data_dir)
    shell.run("deploy", write_function(CODE), "--handler", "app.handler", "--name", "f")
    shell.run("invoke", "f")
    family = system.processes()

    os.kill(system.pid, signal.SIGKILL)

    system.wait()
    until_gone(family)


@pytest.mark.parametrize("role", ["redis", "worker", "gateway"])
def test_a_process_that_is_killed_comes_back(
    start: Start, data_dir: Path, write_function: WriteFunction, role: Role
) -> None:
    system = start()
    shell = CommandLine(data_dir)
    shell.run("deploy", write_function(CODE), "--handler", "app.handler", "--name", "f")
    [old] = system.pids(role)

    os.kill(old, signal.SIGKILL)

    until_another(system, role, old)
    assert invoke_until_it_works(shell, "f") == '"on"\n'


def test_there_are_as_many_workers_as_asked_for(start: Start, data_dir: Path) -> None:
    system = start("--workers", "3")

    assert len(system.pids("worker")) == 3
    deadline = time.monotonic() + 20
    while len(CommandLine(data_dir).run("workers").stdout.splitlines()) < 3:
        assert time.monotonic() < deadline


def test_one_data_directory_runs_one_system(start: Start, data_dir: Path) -> None:
    system = start()

    second = CommandLine(data_dir).run("up", "--port", "0")

    assert second.returncode == 1
    assert second.stderr == (
        f"lightswitch: `lightswitch up` (pid {system.pid}) already runs on {data_dir}; "
        "stop it or choose another --data-dir\n"
    )


def test_a_port_in_use_is_one_clear_line(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CommandLine(data_dir).run("up", "--port", str(port))

    assert done.returncode == 1
    complaint = f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another --port"
    assert done.stderr == f"lightswitch: {complaint}\n"
    assert done.stdout == ""


def test_a_client_without_a_system_is_told_what_to_start(data_dir: Path) -> None:
    done = CommandLine(data_dir).run("list")

    assert done.returncode == 1
    assert done.stderr == f"lightswitch: no system runs on {data_dir}; start one with `lightswitch up`\n"


def test_the_example_is_deployed_invoked_and_explained(data_dir: Path, tmp_path: Path) -> None:
    out = (tmp_path / "out").open("w+b")
    command = [str(PROGRAM), "up", "--port", "0", "--data-dir", str(data_dir), "--example"]
    with out, subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, env=clean_environ()) as up:
        deadline = time.monotonic() + 60
        while b"Ctrl-C" not in (tmp_path / "out").read_bytes():
            assert up.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        up.send_signal(signal.SIGINT)
        assert up.wait(30) == 0

    ready, created, first, warm, *next_steps = (tmp_path / "out").read_text().splitlines()
    assert ready.startswith("ready http://127.0.0.1:")
    assert created.startswith("created arn:aws:lambda:")
    for line in (first, warm):
        result, _, timing = line.partition("  (")
        assert json.loads(result)["message"] == "Hello, you! The light is on."
        assert timing.endswith(" ms)")
    assert any("invoke hello" in line for line in next_steps)


def test_the_command_line_starts_quickly() -> None:
    fastest = min(_seconds("--help") for _ in range(5))

    assert fastest < 1.0


def _seconds(*arguments: str) -> float:
    started = time.perf_counter()
    assert run_program([PROGRAM, *arguments]).returncode == 0
    return time.perf_counter() - started
