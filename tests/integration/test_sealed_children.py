"""A child that waited sealed is confined like one that was forked when it was wanted."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.environment_workbench import Tried, Workbench
from tests.sandbox_levels import workbench_at
from tests.waiting import until
from worker.environments.interface import Succeeded
from worker.sandbox.levels import Level

CONFINED = """
import ctypes, os, resource, sys

WHERE = ("", "/var/task", "/etc", "/usr", "/tmp")

def tried(action):
    try:
        action()
    except OSError as error:
        return error.errno
    return 0

def system_call(number, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    return ctypes.get_errno() if libc.syscall(number, *arguments) < 0 else 0

def handler(event, context):
    lines = open("/proc/self/status").read().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    mounts = [line.split() for line in open("/proc/self/mountinfo")]
    return {
        "status": [status[name].strip() for name in event],
        "mounts": sorted([fields[4], fields[5], fields[-1]] for fields in mounts),
        "limits": open("/proc/self/limits").read(),
        "write": [tried(lambda: open(where + "/x", "w")) for where in WHERE],
        "unshare": system_call(272 if os.uname().machine == "x86_64" else 97, 0x10000000),
        "root": tried(lambda: os.setuid(0)),
        "here": [os.getcwd(), os.umask(0o022), os.uname().nodename, os.getpid(), os.getsid(0)],
        "open": sorted(os.listdir("/proc/self/fd")),
        "variables": sorted(os.environ),
        "path": sys.path[:1],
        "tmp": os.statvfs("/tmp").f_blocks,
    }
"""
STATUS = ("CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Groups")


@pytest.mark.parametrize("level", [Level.L3, Level.L2], ids=str)
async def test_it_may_do_neither_more_nor_less(level: Level, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o711)
    found = []
    for prepared in (0, 2):
        home = tmp_path / str(prepared)
        home.mkdir(mode=0o755)
        async with workbench_at(level, home, prepared=prepared) as bench:
            found.append(await _second(bench, waits=bool(prepared) and os.geteuid() == 0))
    assert found[0] == found[1]
    assert found[1]["status"][:6] == ["0" * 16] * 4 + ["1", "2"]


async def _second(bench: Workbench, *, waits: bool) -> Any:
    """What a later environment of a sandbox says; with `waits`, it was a child that waited sealed."""
    root = bench.code(app=CONFINED)
    first = await bench.start("app.handler", root)
    asked = await (_from_sealed(bench, root, first) if waits else bench.start("app.handler", root))
    outcome = (await asked.run(json.dumps(STATUS).encode())).outcome
    assert isinstance(outcome, Succeeded), outcome
    return json.loads(outcome.payload)


async def _from_sealed(bench: Workbench, root: Path, first: Tried) -> Tried:
    """Who is sealed says so a moment later: until then another child is forked."""
    started = {first.environment.pid}
    async with asyncio.timeout(20):
        while True:
            await until(lambda: bool(_sealed() - started))
            sealed = _sealed() - started
            tried = await bench.start("app.handler", root)
            if tried.environment.pid in sealed:
                return tried
            started.add(tried.environment.pid)


def _sealed() -> set[int]:
    """Descendants of this process under a filter of system calls."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            continue
        if "Seccomp:\t2" in status:
            found.add(process.pid)
    return found
