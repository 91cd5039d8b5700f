"""Children for supervisor tests: small programs, and ways to see what became of them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from deploy.back_off import BackOff
from deploy.child import ChildSpec

QUICK = BackOff(first_seconds=0.01, longest_seconds=0.05)

FOREVER = "import signal; signal.pause()"
STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True: signal.pause()
"""
ENDS_WITH_3 = "import sys; print('no luck'); sys.exit(3)"


def program(tmp_path: Path, name: str, code: str, stop_within_seconds: float = 10) -> ChildSpec:
    """A child that runs Python code and logs to `tmp_path/name.log`."""
    return ChildSpec(
        name,
        (sys.executable, "-S", "-c", code),
        tmp_path / f"{name}.log",
        stop_within_seconds=stop_within_seconds,
        back_off=QUICK,
    )


async def until(condition: Callable[[], object], within_seconds: float = 10) -> None:
    """Return when the condition holds; another process makes it come true."""
    async with asyncio.timeout(within_seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def exists(pid: int) -> bool:
    """Is there such a process, and is it no zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def sees(pid: int, text: str) -> bool:
    """Does the command line of a process hold `text`? Between fork and exec it does not."""
    try:
        return text in Path(f"/proc/{os.fspath(str(pid))}/cmdline").read_text()
    except FileNotFoundError:
        return False
