"""What control groups make of a contended processor, measured on one."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest

from worker.sandbox.inside.cgroups import CgroupLimits, Cgroups

ENVIRONMENT = "0"
SPIN = """
import os, sys, time
with open(sys.argv[1], "w") as group:
    group.write(str(os.getpid()))
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
ends = time.monotonic() + 1
while time.monotonic() < ends:
    pass
print(time.process_time())
"""
LIMITS = CgroupLimits(memory_bytes=64 << 20, processes=16)


@pytest.fixture
def groups() -> Iterator[Cgroups]:
    if os.geteuid() != 0:
        pytest.skip("control groups are root's here")
    groups = Cgroups.make(f"lightswitch-test-{uuid.uuid4().hex}")
    yield groups
    groups.remove_all()


def test_a_busy_function_is_not_kept_waiting_by_one_busy_process_of_the_platform(groups: Cgroups) -> None:
    groups.create(ENVIRONMENT)
    groups.limit(ENVIRONMENT, LIMITS)
    group = groups.directories.get("cpu") or groups.directories["unified"]
    function, platform = _spin(f"{group}/{ENVIRONMENT}/cgroup.procs"), _spin(os.devnull)
    assert _processor_seconds(function) > 2 * _processor_seconds(platform)


def _spin(group: str) -> subprocess.Popen[str]:
    """A process that joins `group` and competes for one processor until a common end."""
    return subprocess.Popen([sys.executable, "-c", SPIN, group], stdout=subprocess.PIPE, text=True)


def _processor_seconds(process: subprocess.Popen[str]) -> float:
    return float(process.communicate(timeout=30)[0])
