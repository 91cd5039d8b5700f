"""What isolation costs: cold starts from a zygote and from its prepared children, idle memory, warm runs."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import psutil
import uvloop

from tests.benchmarks.contestants import Contestants
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings, ratio
from tests.benchmarks.measurements import percentile
from tests.benchmarks.memory import pss_bytes
from tests.benchmarks.packages import SOURCES
from tests.benchmarks.peers.containers import Launcher, hide_second_hierarchy, launchers
from tests.environment_workbench import Kind, Tried, Workbench, workbench
from worker.environments.interface import Succeeded
from worker.sandbox.interface import SandboxUnavailable
from worker.sandbox.levels import IsolationPolicy, Level
from worker.sandbox.process_sandbox import ProcessSandbox

PAYLOAD = json.dumps({"text": "x" * 1000}).encode()
HANDLER = "app.handler"
STARTS_AT_ONCE = 8
PREPARED = 4
WAYS = ((Level.L3, 0), (Level.L3, PREPARED), (Level.L2, 0), (Level.L1, 0), (Level.L0, 0))
FROM_ZYGOTE, PREPARED_CHILD = "L3, zygote", "L3, prepared"
REFILL_SECONDS = 0.03
"""The zygote prepares another child in a fraction of it."""
WARM_SECONDS = 0.25
WARM_KINDS: dict[Kind, str] = {"python": "python3.11", "awslambdaric": "official awslambdaric"}


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
    """All contestants are open at once and take turns; an echo is started, asked once and stopped."""
    others = {each: list[float]() for each in launchers(directory)}
    ours: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        turns = await _turns(findings, directory, stack)
        with ThreadPoolExecutor(1, initializer=hide_second_hierarchy) as elsewhere:
            for number in range(effort.isolated_starts):
                for name, turn in turns.items():
                    ours.setdefault(name, []).append(await turn())
                for launcher, times in others.items():
                    if number < effort.launches:
                        loop = asyncio.get_running_loop()
                        await loop.run_in_executor(elsewhere, _launch, launcher, times, findings)
    base = statistics.median(ours.get(FROM_ZYGOTE) or [0.0])
    for what, times in [*ours.items(), *((each.name, times) for each, times in others.items())]:
        if times:
            p50, p99 = statistics.median(times), percentile(sorted(times), 99)
            findings.add(what, p50_ms=round(p50, 2), p99_ms=round(p99, 2), to_ours=round(ratio(p50, base), 2))
    if FROM_ZYGOTE in ours:
        findings.promise("first answer at L3 from a zygote, p50", base, "at most", 10, "ms")
        prepared_ms = statistics.median(ours[PREPARED_CHILD])
        findings.promise("first answer at L3 from a prepared child, p50", prepared_ms, "at most", 5, "ms")


Turn = Callable[[], Awaitable[float]]


async def _turns(findings: Findings, directory: Path, stack: AsyncExitStack) -> dict[str, Turn]:
    """What each of our ways to start does in its turn."""
    turns: dict[str, Turn] = {}
    for number, (level, prepared) in enumerate(WAYS):
        home = directory / f"way-{number}"
        home.mkdir(mode=0o755)
        try:
            bench = await stack.enter_async_context(_bench(home, level, prepared))
        except SandboxUnavailable as error:
            findings.notes.append(f"{level} not measured: {error}")
            continue
        root = _echo_code(bench)
        await _start_and_stop(bench, root)  # the zygote prepares children once it has been asked for one
        name = f"{level}, {'prepared' if prepared else 'zygote'}"
        turns[name] = partial(_start_and_stop, bench, root, pause_seconds=REFILL_SECONDS if prepared else 0)
    return turns


def _echo_code(bench: Workbench) -> Path:
    return bench.code(app=(SOURCES / "echo.py").read_text())


async def _start_and_stop(bench: Workbench, root: Path, pause_seconds: float = 0) -> float:
    await asyncio.sleep(pause_seconds)
    started = time.perf_counter()
    tried = await bench.start(HANDLER, root)
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
    """Many idle environments at the strongest level, each after one run of an echo."""
    home = directory / "crowd"
    home.mkdir(mode=0o755)
    async with _bench(home, Level.L3) as bench:
        root = _echo_code(bench)
        await _start_and_stop(bench, root)
        await asyncio.sleep(REFILL_SECONDS * PREPARED)
        crowd = [bench.make(HANDLER, root, memory_mb=128) for _ in range(effort.crowd)]
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
        processes = [psutil.Process(tried.environment.pid) for tried in crowd[:: len(crowd) // 50]]
        pss_mb = pss_bytes(processes) / len(processes) / 2**20
        whole_mb = (unused_before - psutil.virtual_memory().available) / len(crowd) / 2**20
    per_second = effort.crowd / seconds
    findings.add(
        f"{effort.crowd} idle at L3",
        seconds=round(seconds, 1),
        starts_per_second=round(per_second),
        pss_mb_each=round(pss_mb, 2),
        machine_mb_each=round(whole_mb, 2),
    )
    findings.promise("cold starts at L3 per second, at the environment", per_second, "at least", 150)
    findings.promise("seconds for 1,000 isolated environments", 1000 / per_second, "at most", 12, "s")
    findings.promise("memory of an idle environment at L3, PSS", pss_mb, "at most", 3.5, "MB")
    findings.promise("the machine's memory for one, with the kernel's", whole_mb, "at most", 3.5, "MB")


async def _warm(findings: Findings, effort: Effort, directory: Path) -> None:
    """Runs of one environment, one after another, at the strongest level and at the weakest, in turns; the
    ratio is the median of neighbouring turns'."""
    strong_directory, weak_directory = directory / "strong", directory / "weak"
    for home in (strong_directory, weak_directory):
        home.mkdir(mode=0o755)
    async with _bench(strong_directory, Level.L3) as strong, _bench(weak_directory, Level.L0) as weak:
        for kind, what in WARM_KINDS.items():
            tried = [await bench.start("app.echo", bench.suite_code(kind), kind) for bench in (strong, weak)]
            rates: list[list[float]] = [[], []]
            for _ in range(4 * effort.rounds):
                for place, environment in enumerate(tried):
                    rates[place].append(await _rate(environment))
            at_l3, at_l0 = (statistics.median(each) for each in rates)
            together = statistics.median(
                ratio(strongly, weakly) for strongly, weakly in zip(*rates, strict=True)
            )
            findings.add(f"{what}, warm at L3, one after another", requests_per_second=round(at_l3))
            findings.add(f"{what}, warm at L0, one after another", requests_per_second=round(at_l0))
            findings.promise(f"{what}: warm throughput at L3, to L0", together, "at least", 0.9, "x")


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
