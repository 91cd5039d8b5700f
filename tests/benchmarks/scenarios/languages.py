"""First calls of functions in other languages, at the caller: plain starts, and from pre-warmed processes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.go_build import built_greeter
from tests.benchmarks.contestants import Contestants, System
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings
from tests.benchmarks.load.calls import Call, invoke
from tests.benchmarks.measurements import summarise
from tests.deployment_packages import package
from tests.guest_runtimes import add_runtime
from tests.java_guests import CannotBuild, build_guest
from worker.runtimes.official.interface import CannotInstall

FUNCTIONS = Path(__file__).parents[1] / "functions"
PAUSE_SECONDS = 0.6
"""Before each call: by then the worker keeps pre-warmed processes again, and is quiet."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A function, and within how many milliseconds its first call is promised to be answered: after a plain
    start, and from a pre-warmed process (None: its runtime has none)."""

    what: str
    runtime: str
    code: bytes
    payload: bytes
    plain_ms: float
    prewarmed_ms: float | None = None
    memory_mb: int = 512
    handler: str = "app.handler"


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """Two systems, one of which keeps nothing pre-warmed; their calls alternate."""
    findings = Findings("first call of functions in other languages")
    plain = contestants.start_fresh("languages-plain", "--workers", "1", "--prewarmed", "0")
    warm = contestants.start_fresh("languages-prewarmed", "--workers", "1")
    for guest in _guests(findings):
        try:
            _measure(guest, plain, warm, effort.launches, findings)
        except CannotInstall as error:
            findings.notes.append(f"{guest.what} not measured: {error}")
    return findings


def _guests(findings: Findings) -> list[Guest]:
    node = package({"app.js": (FUNCTIONS / "fresh.js").read_bytes()})
    guests = [Guest(f"Node.js {major}", f"nodejs{major}.x", node, b"{}", 100, 15) for major in (20, 22, 24)]
    try:
        go = package({"bootstrap": built_greeter()})
        guests.append(Guest("Go", "provided.al2023", go, b'{"name":"Ada"}', 25))
    except pytest.skip.Exception as missing:
        findings.notes.append(f"Go not measured: {missing}")
    return guests + _java_guests(findings)


def _java_guests(findings: Findings) -> list[Guest]:
    try:
        code = build_guest(FUNCTIONS / "java").package()
    except CannotBuild as missing:
        findings.notes.append(f"Java not measured: {missing}")
        return []
    return [
        Guest(f"Java {major}", f"java{major}", code, b"{}", 250, 60, handler="Fresh::handle")
        for major in (17, 21, 25)
    ]


def _measure(guest: Guest, plain: System, warm: System, calls: int, findings: Findings) -> None:
    systems = {"plain start": (plain, guest.plain_ms)}
    if guest.prewarmed_ms is not None:
        systems["pre-warmed"] = (warm, guest.prewarmed_ms)
    ready = {how: _calls(system, guest, calls) for how, (system, _) in systems.items()}
    seconds: dict[str, list[float]] = {how: [] for how in systems}
    for number in range(calls):
        for how, (system, _) in systems.items():
            time.sleep(PAUSE_SECONDS)
            sent = system.callers.send([ready[how][number]], 1)
            if sent.round.errors:
                raise RuntimeError(f"{guest.what}: {sent.answers[0].body!r}")
            seconds[how].append(sent.round.p50_ms / 1000)
    for how, (_, limit_ms) in systems.items():
        found = summarise(seconds[how], 0, sum(seconds[how]))
        findings.add_round(f"{guest.what}, {how}", found)
        findings.promise(f"first call of {guest.what}, {how}, p50", found.p50_ms, "at most", limit_ms, "ms")


def _calls(system: System, guest: Guest, functions: int) -> list[Call]:
    """Calls of so many new functions. One more has run: the platform itself is warm."""
    if not guest.runtime.startswith("provided"):
        add_runtime(system.live, guest.runtime)
    slug = guest.what.lower().replace(" ", "-").replace(".", "")
    names = [f"{slug}-{number:03d}" for number in range(1 + functions)]
    system.deploy_many(
        names, guest.code, runtime=guest.runtime, handler=guest.handler, MemorySize=guest.memory_mb
    )
    endpoint = system.callers.endpoint
    calls = [Call(invoke(endpoint, name, guest.payload).request, 200, None) for name in names]
    system.callers.send(calls[:1], 1)
    return calls[1:]
