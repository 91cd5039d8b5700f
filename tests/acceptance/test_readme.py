"""The README's first function: its commands, as they stand there, do what it says."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.acceptance.command_line import clean_environ, run_program
from tests.live_system import LiveSystem

README = Path(__file__).parents[2] / "README.md"


def first_function_blocks() -> list[tuple[str, str]]:
    """Language and text of the code blocks in `Your first function`."""
    section = README.read_text().split("## Your first function")[1].split("\n## ")[0]
    return re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that looks like a clone after `make setup`."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def test_the_first_function_works_as_written(running_system: LiveSystem, project: Path) -> None:
    (prepare, python, aws, lightswitch) = (text for _, text in first_function_blocks())
    (project / "first.py").write_text(python)
    script = "\n".join(["set -e", prepare, ".venv/bin/python first.py", aws, lightswitch])
    here = f"python{sys.version_info.major}.{sys.version_info.minor}"
    environ = {**clean_environ(), "LIGHTSWITCH_DATA_DIR": str(running_system.data_dir)}

    done = run_program(["sh", "-c", f"cd {project}\n{script.replace('python3.11', here)}"], environ)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('{"doubled": 42}\n')  # boto3
    assert done.stdout.count('{"doubled": 42}') == 3  # and the AWS CLI, and lightswitch
    assert '"status": "succeeded"' in done.stdout
    assert "asked for {'n': 21}" in done.stdout
