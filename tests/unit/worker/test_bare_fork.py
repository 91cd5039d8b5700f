"""A zygote's forks, without the hooks of Python's modules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import Any

from worker.sandbox.inside.bare_fork import BareFork, fitting_fork, noted_hooks

FORKS = """
import os, random, threading, sys
sys.path.insert(0, {root!r})
from worker.sandbox.inside.bare_fork import BareFork
called = []
os.register_at_fork(after_in_child=lambda: called.append("hook"))
fork = BareFork()
for number in range(3):
    if fork() == 0:
        thread = threading.Thread(target=lambda: called.append("thread"))
        thread.start()
        thread.join()
        pid = os.fork()
        if pid == 0:
            os._exit(len(called))
        grandchild = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        draws = [random.random() for _ in range(3)]
        print("{{}} {{}} {{}}".format(draws, called, grandchild), flush=True)
        os._exit(0)
    os.wait()
"""


def test_each_child_has_chance_of_its_own_and_threads_and_its_own_forks_work() -> None:
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    ran = subprocess.run([sys.executable, "-c", FORKS.format(root=root)], capture_output=True, check=True)
    lines = ran.stdout.decode().splitlines()
    assert len(lines) == 3
    assert len({line.partition("]")[0] for line in lines}) == 3
    # Our fork called no hook; the child's own `os.fork` called it.
    assert all(line.endswith("['thread'] 2") for line in lines)


def test_a_failed_fork_says_why() -> None:
    script = (
        "import resource, os, json; from worker.sandbox.inside.bare_fork import BareFork; fork = BareFork();"
        "os.setresuid(65001, 65001, 65001); resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))\n"
        "try: fork() or os._exit(0)\n"
        "except OSError as error: print(json.dumps([error.errno, str(error)]))"
    )
    if os.geteuid() != 0:
        script = script.replace("os.setresuid(65001, 65001, 65001);", "")
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    number, text = json.loads(ran.stdout)
    assert number == 11
    assert "fork" in text


def test_the_interpreters_own_hooks_are_no_reason_against_it() -> None:
    with noted_hooks() as hooked:
        _register_as("logging")
        _register_as("random")
    assert hooked == {"logging", "random"}
    assert isinstance(fitting_fork(hooked), BareFork) is (threading.active_count() == 1)


def test_with_hooks_of_other_modules_python_forks() -> None:
    register: Any = os.register_at_fork
    with noted_hooks() as hooked:
        _register_as("grpc")
    assert fitting_fork(hooked) is os.fork
    assert os.register_at_fork is register


def _register_as(module: str) -> None:
    code = "import os; os.register_at_fork(after_in_child=lambda: None)"
    exec(code, {"__name__": module})
