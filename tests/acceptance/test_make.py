"""The two commands of the quick start, as far as they can be tried without installing everything again."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.acceptance.command_line import clean_environ, run_program
from tests.acceptance.processes import until_gone

PROJECT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")


@pytest.fixture
def set_up() -> None:
    if run_program(["make", "-C", PROJECT, "--question", "setup"]).returncode != 0:
        pytest.skip("`make setup` has not been run, and it would change what runs these tests")


def stand_in_python(folder: Path, name: str, *, new_enough: bool) -> None:
    """A `python` that only answers the questions that setup asks, and never has a venv module."""
    program = folder / name
    answer = "case $2 in *version_info*) exit %d;; *) exit 1;; esac" % (0 if new_enough else 1)  # noqa: UP031
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(stat.S_IRWXU)


@pytest.mark.parametrize(
    ("new_enough", "complaint"),
    [
        (False, "setup: Python 3.11 or newer is needed"),
        (True, "setup: python3 has no venv module; install it: apt-get install python3-venv"),
    ],
)
def test_setup_says_what_is_missing(tmp_path: Path, new_enough: bool, complaint: str) -> None:
    stand_in_python(tmp_path, "python3", new_enough=new_enough)
    shell = shutil.which("sh")
    assert shell

    done = subprocess.run(
        [shell, PROJECT / "deploy" / "setup.sh"],
        env={"PATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert done.stderr.startswith(complaint)
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / ".venv").exists()


@pytest.mark.usefixtures("set_up")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "make is killed"])
def test_make_run_shows_the_example_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    environ = {**clean_environ(), "LIGHTSWITCH_DATA_DIR": str(tmp_path / "data")}
    shown = tmp_path / "shown"
    command = ["make", "-C", str(PROJECT), "run", "PORT=0"]
    with shown.open("wb") as out, subprocess.Popen(
        command, env=environ, stdout=out, stderr=out, start_new_session=True
    ) as make:  # fmt: skip
        deadline = time.monotonic() + 60
        while "Ctrl-C" not in shown.read_text():
            assert make.poll() is None, shown.read_text()
            assert time.monotonic() < deadline, shown.read_text()
            time.sleep(0.05)
        family = psutil.Process(make.pid).children(recursive=True)
        assert len(family) > 4  # up, redis, worker, gateway and what runs the example

        if number == signal.SIGINT:
            os.killpg(make.pid, number)  # as a terminal does
        else:
            os.kill(make.pid, number)

        until_gone(family, within_seconds=30)
    assert "Hello, you! The light is on." in shown.read_text()
