"""Execution environments alone: cold starts, idle memory, warm runs.

Run with `python -m tests.benchmarks.environments`.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import uvloop

from tests.environment_workbench import Kind, Tried, Workbench, workbench
from worker.environments.interface import Succeeded

PAYLOAD = json.dumps({"text": "x" * 1000}).encode()
COLD_STARTS = 100
CROWD = 200
WARM_SECONDS = 2.0
TICKS_PER_SECOND = 100


async def main() -> None:
    """Print one line for each figure."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with workbench(directory, directory / "library") as bench:
            for problem in bench.factory.problems():
                print("limited:", problem)
            await _cold_starts(bench)
            await _crowd(bench)
            for kind in ("python", "awslambdaric", "bootstrap"):
                await _warm_runs(bench, kind)


async def _cold_starts(bench: Workbench) -> None:
    root, starts, answers, stops = bench.suite_code("python"), list[float](), list[float](), list[float]()
    for _ in range(COLD_STARTS):
        tried = bench.make("app.echo", root)
        starts.append(await _timed_ms(tried.environment.start))
        answers.append(starts[-1] + await _timed_ms(partial(_echo, tried)))
        stops.append(await _timed_ms(tried.environment.stop))
    for what, times in (("start", starts), ("start and first run", answers), ("stop", stops)):
        print(f"{what}: p50 {statistics.median(times):.1f} ms, p99 {sorted(times)[-2]:.1f} ms")


async def _crowd(bench: Workbench) -> None:
    root = bench.suite_code("python")
    crowd = [bench.make("app.echo", root) for _ in range(CROWD)]

    async def start() -> None:
        await asyncio.gather(*(tried.environment.start() for tried in crowd))

    async def stop() -> None:
        await asyncio.gather(*(tried.environment.stop() for tried in crowd))

    seconds = await _timed_ms(start) / 1000
    print(f"{CROWD} at once: {CROWD / seconds:.0f} cold starts/s")
    await asyncio.gather(*(_echo(tried) for tried in crowd))
    pss = [_pss_kb(tried.environment.pid) for tried in crowd[:20]]
    print(f"idle after a run: {statistics.mean(pss) / 1024:.1f} MB PSS each")
    print(f"{CROWD} stopped in {await _timed_ms(stop):.0f} ms")


async def _warm_runs(bench: Workbench, kind: Kind) -> None:
    tried = await bench.start("app.echo", bench.suite_code(kind), kind)
    await _echo(tried)
    runs, ticks, started = 0, _cpu_ticks(tried.environment.pid), time.perf_counter()
    while time.perf_counter() - started < WARM_SECONDS:
        await _echo(tried)
        runs += 1
    seconds = time.perf_counter() - started
    cpu_us = (_cpu_ticks(tried.environment.pid) - ticks) / TICKS_PER_SECOND / runs * 1e6
    print(
        f"warm, {kind}, one after another: {runs / seconds:.0f} runs/s, {cpu_us:.0f} us CPU in the function"
    )
    await tried.environment.stop()


async def _echo(tried: Tried) -> None:
    outcome = (await tried.run(PAYLOAD)).outcome
    assert isinstance(outcome, Succeeded), outcome
    assert json.loads(outcome.payload) == json.loads(PAYLOAD)


async def _timed_ms(action: Callable[[], Awaitable[None]]) -> float:
    started = time.perf_counter()
    await action()
    return (time.perf_counter() - started) * 1000


def _pss_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


if __name__ == "__main__":
    uvloop.run(main())
