"""What a trial says of modules that make something up when they are imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TRY_OUT = """
import json, random, ssl, sys, uuid
from worker.runtimes.python.import_trial import try_out
print(json.dumps(try_out(sys.argv[1:])))
"""


def tried(directory: Path, source: str) -> Any:
    (directory / "subject.py").write_text(source)
    environment = {"PYTHONPATH": f"{directory}:{Path.cwd()}", "LAMBDA_RUNTIME_DIR": str(directory)}
    command = [sys.executable, "-B", "-c", TRY_OUT, "subject"]
    ran = subprocess.run(command, env=environment, check=True, capture_output=True)
    return json.loads(ran.stdout)["problems"]


@pytest.mark.parametrize(
    "source",
    [
        "import uuid; NAME = uuid.uuid4()",
        "import uuid; NAME = uuid.uuid1()",
        "import random; NUMBER = random.random()",
        "import secrets; KEY = secrets.token_bytes()",
        "import ssl; KEY = ssl.RAND_bytes(8)",
        "import os; KEY = os.urandom(8)",
        "import os; KEY = os.getrandom(8)",
    ],
)
def test_a_module_that_makes_something_up_is_refused(tmp_path: Path, source: str) -> None:
    (problem,) = tried(tmp_path, source)

    assert "asks for" in problem or problem == "changes numbers drawn by chance"


def test_a_module_whose_secret_each_process_renews_is_not(tmp_path: Path) -> None:
    assert tried(tmp_path, "import multiprocessing.process") == []
