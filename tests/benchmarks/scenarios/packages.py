"""What importing packages ahead saves: first answers of a function that uses boto3, and its idle memory."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

import psutil
import uvloop

from tests.benchmarks.contestants import Contestants
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings, ratio
from tests.benchmarks.memory import pss_bytes
from tests.environment_workbench import Tried, Workbench, workbench
from worker.environments.interface import Succeeded
from worker.sandbox.levels import IsolationPolicy, Level
from worker.sandbox.process_sandbox import ProcessSandbox

FUNCTION = """
import sys

ahead = "boto3" in sys.modules

import boto3

def handler(event, context):
    return ahead
"""
LIVE = 20
REFILL_SECONDS = 0.05


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """At the strongest level, without Redis and HTTP."""
    del contestants
    findings = Findings("packages imported ahead, python3.11")
    usual_ms, _ = uvloop.run(_measure(findings, effort, ()))
    ahead_ms, ahead_mb = uvloop.run(_measure(findings, effort, ("boto3",)))
    findings.promise(
        "first answer with boto3 ahead, to as usual", ratio(ahead_ms, usual_ms), "at most", 0.2, "x"
    )
    findings.promise("idle environment with boto3 ahead, PSS", ahead_mb, "at most", 6, "MB")
    return findings


async def _measure(findings: Findings, effort: Effort, packages: tuple[str, ...]) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="lightswitch-packages-") as name:
        directory = Path(name)
        os.chmod(directory, 0o711)
        policy = IsolationPolicy(forced=Level.L3, packages=packages, imports_mb=0)
        library = directory / "library"
        sandbox = ProcessSandbox(directory / "worker", library / "current", policy=policy)
        async with workbench(directory, library, sandbox) as bench:
            root = bench.code(app=FUNCTION)
            while await _answer(tried := await bench.start("app.handler", root)) != bool(packages):
                await tried.environment.stop()
            times, live = await _starts(bench, root, effort.isolated_starts)
            # The worker learns of the last one's pid in a moment.
            await asyncio.sleep(1)
            processes = [psutil.Process(each.environment.pid) for each in live]
            megabytes = pss_bytes(processes) / len(processes) / 2**20
    p50 = statistics.median(times)
    what = ", ".join(packages) or "nothing"
    findings.add(f"boto3 used, {what} ahead", p50_ms=round(p50, 2), pss_mb_each=round(megabytes, 2))
    return p50, megabytes


async def _starts(bench: Workbench, root: Path, starts: int) -> tuple[list[float], list[Tried]]:
    """Milliseconds to the first answer, one start after the other; the last environments."""
    times, live = list[float](), list[Tried]()
    for _ in range(starts):
        await asyncio.sleep(REFILL_SECONDS)
        started = time.perf_counter()
        live.append(await bench.start("app.handler", root))
        await _answer(live[-1])
        times.append((time.perf_counter() - started) * 1000)
        if len(live) > LIVE:
            await live.pop(0).environment.stop()
    return times, live


async def _answer(tried: Tried) -> bool:
    outcome = (await tried.run()).outcome
    if not isinstance(outcome, Succeeded):
        raise RuntimeError(f"a wrong answer: {outcome}")
    return outcome.payload == b"true"
