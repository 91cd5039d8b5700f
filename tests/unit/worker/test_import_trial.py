"""What a trial says of modules, each in a process of its own: what they cost, read and must not do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import json, os, sys
from worker.runtimes.python import import_trial
sys.path.append(sys.argv[1])
for name in sys.argv[2:]:
    child = os.fork()
    if child == 0:
        line = json.dumps({name: import_trial.try_out([name])})
        os.write(2, line.encode() + b"\\n")
        os._exit(0)
    os.waitpid(child, 0)
"""
ROOT = Path(__file__).parents[3]
REFUSED = {
    "import threading; threading.Thread(target=threading.Event().wait).start()": "changes threads",
    "import os; os.fork() or os._exit(0); os.wait()": "asks for os.fork",
    "import subprocess; subprocess.run(['true'])": "asks for subprocess.Popen",
    "import socket; socket.socket(socket.AF_UNIX).connect_ex('/nowhere')": "asks for socket.connect",
    "import socket; KEPT = socket.socket()": "changes open files",
    "KEPT = open('/dev/null')": "changes open files",
    "open('/tmp/no-such-file-of-a-trial', 'a').close()": "asks for open",
    "import mmap; KEPT = mmap.mmap(-1, 4096)": "asks for mmap.__new__",
    "import os; os.environ['SET'] = '1'": "asks for os.putenv",
    "import os; os.chdir('/')": "asks for os.chdir",
    "import sys; sys.path.insert(0, '/x')": "changes sys.path",
    "import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN)": "changes signal handlers",
    "import logging; logging.basicConfig()": "changes the root logger",
    "import builtins; builtins.shout = print": "changes built-in names",
    "import sys; sys.excepthook = print": "changes hooks",
    "import sys; sys.setrecursionlimit(5000)": "changes limits",
    "import random; DICE = random.Random(1)": "changes generators of chance",
    "import __main__; MAIN = __main__": "changes holders of the main module",
    "raise SystemExit": "tried_1: SystemExit",
    "import no_such_module": "tried_1: ModuleNotFoundError",
    "import os; dict(os.environ)": "reads every environment variable",
    "import os; os.environ.copy()": "reads every environment variable",
    "import os; list(os.environ.items())": "reads every environment variable",
}


def tried_all(library: Path, *names: str, **variables: str) -> dict[str, Any]:
    """What trials answer of modules in `library`, which is the runtime's, each in a process of its own."""
    environment = {**os.environ, "LAMBDA_RUNTIME_DIR": str(library), **variables}
    command = [sys.executable, "-c", PROGRAM, str(library), *names]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    said: dict[str, Any] = {}
    for line in done.stderr.splitlines():
        said.update(json.loads(line))
    return said


def tried(library: Path, name: str, **variables: str) -> Any:
    return tried_all(library, name, **variables)[name]


def module(library: Path, text: str, name: str = "tried_module") -> str:
    (library / f"{name}.py").write_text(text + "\n")
    return name


def test_a_plain_module_costs_something_and_has_no_problems(tmp_path: Path) -> None:
    module(tmp_path, "ROWS = [str(number) for number in range(300_000)]\n", "heavy")
    module(tmp_path, "import heavy\n", "light")

    said = tried(tmp_path, "light")

    assert said["came"] == ["heavy", "light"]
    assert said["problems"] == []
    assert said["seconds"] > 0.01
    assert said["kilobytes"] > 10_000


def test_variables_that_are_read_are_told_with_what_was_found(tmp_path: Path) -> None:
    text = """
import os
from os import environ, getenv
os.environ["HERE"], environ.get("ABSENT"), getenv("TOO"), "ASKED" in environ
os.path.expanduser("~")
"""
    said = tried(tmp_path, module(tmp_path, text), HERE="1", TOO="2", HOME="/home/me")

    assert said["read"] == {"HERE": "1", "ABSENT": None, "TOO": "2", "ASKED": None, "HOME": "/home/me"}
    assert said["problems"] == []


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """By text of the module: the problems of its trial."""
    library = tmp_path_factory.mktemp("library")
    names = {module(library, text, f"tried_{number}"): text for number, text in enumerate(REFUSED)}
    said = tried_all(library, *names)
    return {names[name]: said[name]["problems"] for name in names}


@pytest.mark.parametrize("text", REFUSED)
def test_what_a_fork_would_not_share_is_refused(refusals: dict[str, list[str]], text: str) -> None:
    problems = [re.sub(r"^tried_\d+", "tried_1", each) for each in refusals[text]]

    assert any(each.startswith(REFUSED[text]) for each in problems), problems


def test_a_socket_that_is_bound_and_closed_again_is_fine(tmp_path: Path) -> None:
    text = "import socket\nwith socket.socket() as tried:\n    tried.bind(('127.0.0.1', 0))\n"

    assert tried(tmp_path, module(tmp_path, text))["problems"] == []


def test_boto3_is_fine() -> None:
    import boto3

    said = tried(Path(boto3.__file__).parent.parent, "boto3")

    assert said["problems"] == []
    assert set(said["read"]) == {"HOME"}
