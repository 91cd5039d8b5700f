"""The trace variable of a Python function: seen by everybody, changed with every run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.runtimes.python.trace_variable import NAME, TraceVariable


@pytest.fixture
def variable() -> Iterator[TraceVariable]:
    yield TraceVariable()
    os.environ.pop(NAME, None)


def in_a_child_process() -> str:
    return subprocess.run(["sh", "-c", f"echo ${NAME}"], check=True, capture_output=True, text=True).stdout


def resident_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


@pytest.mark.parametrize("header", ["Root=1-a;Parent=b;Sampled=0", "long" * 1000, "Root=1-é"])
def test_it_is_seen_by_python_code_and_by_child_processes(variable: TraceVariable, header: str) -> None:
    variable.set("Root=1-of-the-run-before")
    variable.set(header)

    assert os.environ[NAME] == header
    assert in_a_child_process() == f"{header}\n"


def test_an_empty_one_removes_it(variable: TraceVariable) -> None:
    variable.set("Root=1-a")
    variable.set("")

    assert NAME not in os.environ
    assert in_a_child_process() == "\n"


def test_what_a_function_has_done_to_it_lasts_one_run(variable: TraceVariable) -> None:
    variable.set("Root=1-a")
    os.environ[NAME] = "the function's own"
    variable.set("Root=1-b")
    assert in_a_child_process() == "Root=1-b\n"

    del os.environ[NAME]
    variable.set("Root=1-c")

    assert os.environ[NAME] == "Root=1-c"
    assert in_a_child_process() == "Root=1-c\n"


def test_a_function_that_replaces_os_environ_finds_it_there(
    variable: TraceVariable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"of": "the function"})

    variable.set("Root=1-a")

    assert os.environ == {"of": "the function", NAME: "Root=1-a"}


def test_many_runs_take_no_memory(variable: TraceVariable) -> None:
    variable.set("Root=1-first")
    before_kb = resident_kb()

    for number in range(50_000):
        variable.set(f"Root=1-{number:08x}-{number:024x};Parent={number:016x};Sampled=0;Lineage=1:abcdef12:0")

    assert resident_kb() - before_kb < 2_000  # setenv(3) keeps 8 MB of them
