"""What isolation costs: cold starts from a zygote and from its prepared children, idle memory, warm runs."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import uvloop

from tests.benchmarks.contestants import Contestants
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings, ratio
from tests.benchmarks.memory import pss_bytes
from tests.benchmarks.peers.containers import Launcher, launchers
from tests.environment_workbench import Tried, Workbench, workbench
from worker.environments.interface import Succeeded
from worker.sandbox.interface import SandboxUnavailable
from worker.sandbox.levels import IsolationPolicy, Level
from worker.sandbox.process_sandbox import ProcessSandbox

PAYLOAD = json.dumps({"text": "x" * 1000}).encode()
STARTS_AT_ONCE = 8
PREPARED = 4
REFILL_SECONDS = 0.05
"""The zygote prepares another child in a fraction of it."""
WARM_SECONDS = 1.0


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """Without Redis and HTTP: environments as the worker makes them, beside what else makes sandboxes."""
    del contestants
    findings = Findings("isolation, python3.11")
    uvloop.run(_measure(findings, effort))
    return findings


async def _measure(findings: Findings, effort: Effort) -> None:
    with tempfile.TemporaryDirectory(prefix="lightswitch-isolation-") as name:
        directory = Path(name)
        os.chmod(directory, 0o711)
        await _cold(findings, effort, directory)
        await _crowd(findings, effort, directory)
        await _warm(findings, effort, directory)


@asynccontextmanager
async def _bench(directory: Path, level: Level, prepared: int = PREPARED) -> AsyncIterator[Workbench]:
    policy = IsolationPolicy(forced=level, prepared=prepared)
    library = directory / "library"
    sandbox = ProcessSandbox(directory / "worker", library / "current", policy=policy)
    async with workbench(directory, library, sandbox) as bench:
        yield bench


async def _cold(findings: Findings, effort: Effort, directory: Path) -> None:
    """Contestants take turns; ours at each level and, at the strongest, from prepared children too."""
    ours: dict[str, list[float]] = {}
    others = {each: list[float]() for each in launchers(directory)}
    for level, prepared in ((Level.L3, 0), (Level.L3, PREPARED), (Level.L2, 0), (Level.L1, 0), (Level.L0, 0)):
        name = f"{level}, {'prepared' if prepared else 'zygote'}"
        try:
            async with _bench(directory, level, prepared) as bench:
                ours[name] = await _cold_starts(bench, effort.isolated_starts, prepared=prepared > 0)
        except SandboxUnavailable as error:
            findings.notes.append(f"{level} not measured: {error}")
    for _ in range(effort.launches):
        for launcher, times in others.items():
            await asyncio.to_thread(_launch, launcher, times, findings)
    base = statistics.median(ours.get("L3, zygote") or [0.0])
    for what, times in [*ours.items(), *((each.name, times) for each, times in others.items())]:
        if times:
            p50 = statistics.median(times)
            p99 = sorted(times)[int(len(times) * 0.99)]
            findings.add(what, p50_ms=round(p50, 2), p99_ms=round(p99, 2), to_ours=round(ratio(p50, base), 2))
    if "L3, zygote" in ours:
        findings.promise("first answer at L3 from a zygote, p50", base, "at most", 10, "ms")
        prepared_ms = statistics.median(ours["L3, prepared"])
        findings.promise("first answer at L3 from a prepared child, p50", prepared_ms, "at most", 5, "ms")


async def _cold_starts(bench: Workbench, starts: int, *, prepared: bool) -> list[float]:
    root, times = bench.suite_code("python"), []
    await _start_and_stop(bench, root)  # the zygote prepares children once it has been asked for one
    for _ in range(starts):
        if prepared:
            await asyncio.sleep(REFILL_SECONDS)
        times.append(await _start_and_stop(bench, root))
    return times


async def _start_and_stop(bench: Workbench, root: Path) -> float:
    started = time.perf_counter()
    tried = await bench.start("app.echo", root)
    await _echo(tried)
    milliseconds = (time.perf_counter() - started) * 1000
    await tried.environment.stop()
    return milliseconds


def _launch(launcher: Launcher, times: list[float], findings: Findings) -> None:
    try:
        times.append(launcher.first_answer_ms(PAYLOAD))
    except (RuntimeError, OSError, subprocess.SubprocessError, ValueError) as error:
        note = f"{launcher.name} not measured: {error}"
        if note not in findings.notes:
            findings.notes.append(note)


async def _crowd(findings: Findings, effort: Effort, directory: Path) -> None:
    """Many idle environments at the strongest level."""
    async with _bench(directory, Level.L3) as bench:
        root = bench.suite_code("python")
        await _start_and_stop(bench, root)
        crowd = [bench.make("app.echo", root, memory_mb=128) for _ in range(effort.crowd)]
        limit = asyncio.Semaphore(STARTS_AT_ONCE)
        unused_before = psutil.virtual_memory().available

        async def bring_up(tried: Tried) -> None:
            async with limit:
                await tried.environment.start()
                await _echo(tried)

        started = time.perf_counter()
        await asyncio.gather(*map(bring_up, crowd))
        seconds = time.perf_counter() - started
        for tried in crowd:
            tried.environment.freeze()
        processes = [psutil.Process(tried.environment.pid) for tried in crowd[:50]]
        pss_mb = pss_bytes(processes) / len(processes) / 2**20
        whole_mb = (unused_before - psutil.virtual_memory().available) / len(crowd) / 2**20
    findings.add(
        f"{effort.crowd} idle at L3",
        seconds=round(seconds, 1),
        starts_per_second=round(effort.crowd / seconds),
        pss_mb_each=round(pss_mb, 2),
        machine_mb_each=round(whole_mb, 2),
    )
    per_second = effort.crowd / seconds
    findings.promise("cold starts at L3 per second", per_second, "at least", 150)
    findings.promise("seconds for 1,000 isolated environments", 1000 / per_second, "at most", 12, "s")
    findings.promise("machine's memory for an idle environment at L3", whole_mb, "at most", 3.5, "MB")


async def _warm(findings: Findings, effort: Effort, directory: Path) -> None:
    """Runs of one environment, one after another, at the strongest level and at the weakest, in turns."""
    weak_directory = directory / "weak"
    weak_directory.mkdir(mode=0o755)
    async with _bench(directory, Level.L3) as strong, _bench(weak_directory, Level.L0) as weak:
        tried = {bench: await bench.start("app.echo", bench.suite_code("python")) for bench in (strong, weak)}
        rates: dict[Workbench, list[float]] = {strong: [], weak: []}
        for _ in range(2 * effort.rounds):
            for bench, environment in tried.items():
                rates[bench].append(await _rate(environment))
        at_l3, at_l0 = statistics.median(rates[strong]), statistics.median(rates[weak])
    findings.add("warm at L3, one after another", requests_per_second=round(at_l3))
    findings.add("warm at L0, one after another", requests_per_second=round(at_l0))
    findings.promise("warm throughput at L3, to L0", ratio(at_l3, at_l0), "at least", 0.9, "x")


async def _rate(tried: Tried) -> float:
    runs, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < WARM_SECONDS:
        await _echo(tried)
        runs += 1
    return runs / elapsed


async def _echo(tried: Tried) -> None:
    outcome = (await tried.run(PAYLOAD)).outcome
    if not isinstance(outcome, Succeeded) or json.loads(outcome.payload) != json.loads(PAYLOAD):
        raise RuntimeError(f"a wrong answer: {outcome}")
