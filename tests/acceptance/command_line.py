"""Lightswitch as its users hold it: the command line, the AWS CLI, boto3 in a fresh environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("lightswitch")
AWS_CLI = Path(sys.executable).with_name("aws")

TIMEOUT_SECONDS = 100

Finished = subprocess.CompletedProcess[str]


def clean_environ() -> dict[str, str]:
    """This process's environment without what points AWS tools or Lightswitch anywhere."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "LIGHTSWITCH_"))}


def run_program(
    command: Sequence[str | Path], environ: dict[str, str] | None = None, stdin: str = ""
) -> Finished:
    """Run a program to its end with its output captured."""
    return subprocess.run(
        [str(part) for part in command],
        env=clean_environ() if environ is None else environ,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A shell in which somebody works with the system on `data_dir`."""

    data_dir: Path

    def run(self, *arguments: str | Path, stdin: str = "") -> Finished:
        """`lightswitch ARGUMENTS`."""
        return run_program([PROGRAM, *arguments, "--data-dir", self.data_dir], stdin=stdin)

    def aws(self, *arguments: str) -> Finished:
        """`aws lambda ARGUMENTS`, in the environment that `lightswitch env` makes."""
        return run_program([AWS_CLI, "lambda", *arguments], {**clean_environ(), **self.variables()})

    def python(self, code: str) -> Finished:
        """A program of somebody who knows boto3 only."""
        return run_program([sys.executable, "-c", code], {**clean_environ(), **self.variables()})

    def variables(self) -> dict[str, str]:
        """What `eval "$(lightswitch env)"` adds to a shell."""
        script = f'eval "$({PROGRAM} env --data-dir {self.data_dir})"; env'
        printed = run_program(["sh", "-c", script])
        pairs = (line.partition("=") for line in printed.stdout.splitlines() if line.startswith("AWS_"))
        return {name: value for name, _, value in pairs}
