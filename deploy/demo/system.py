"""`lightswitch up --with-local-aws` for the length of the demo, in a directory of its own."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.data_dir import DataDir
from deploy.errors import DeployError
from deploy.parent_death import die_with
from deploy.roles import lightswitch_command

READY_WITHIN_SECONDS = 40.0
STOPPED_WITHIN_SECONDS = 15.0


@contextmanager
def running(directory: Path, collector_url: str) -> Iterator[DataDir]:
    """A system that is ready; stopped at the end. Raises DeployError where it does not get ready."""
    data_dir = DataDir(directory / "data")
    log = directory / "up.log"
    command = ("up", "--port", "0", "--workers", "1", "--with-local-aws", "--drain-seconds", "2")
    with log.open("wb") as errors:
        process = subprocess.Popen(
            (*lightswitch_command(), *command, "--data-dir", str(data_dir.path)),
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            preexec_fn=die_with(os.getpid()),
            env={
                **os.environ,
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector_url,
                "OTEL_BSP_SCHEDULE_DELAY": "200",
            },
        )
    try:
        _wait_until_ready(process, log)
        yield data_dir
    finally:
        _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    assert process.stdout is not None
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if select.select([process.stdout], [], [], 0.5)[0]:
            line = process.stdout.readline()
            if line.startswith(b"ready "):
                return
            if not line:
                break
    raise DeployError(f"`lightswitch up` did not get ready:\n{log.read_text()[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOPPED_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
