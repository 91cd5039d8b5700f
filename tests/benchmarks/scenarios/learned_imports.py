"""Cold starts of functions that import boto3, at the caller: imported by each, and learned."""

from __future__ import annotations

import json
import time

import psutil

from tests.benchmarks.contestants import Contestants, System
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings, ratio
from tests.benchmarks.load.calls import Call, invoke
from tests.benchmarks.measurements import Round, summarise
from tests.benchmarks.memory import pss_bytes
from tests.benchmarks.packages import python_package

FUNCTIONS = {"client": "boto3 and a client", "imports": "boto3 alone"}
PAUSE_SECONDS = 0.15
"""After each call: its environment ends meanwhile, and another child is prepared."""
LEARN_SECONDS = 60.0


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """A system that learns and one that does not, in turns."""
    findings = Findings("learned imports, python3.11")
    systems = {
        False: contestants.start_fresh("forgetful", "--learned-imports-mb", "0"),
        True: contestants.start_fresh("learned"),
    }
    for name, what in FUNCTIONS.items():
        first, learned = _rounds(systems, name, effort.launches)
        for way, measured in (("imported by each", first), ("learned", learned)):
            findings.add(
                f"first answer, {what}, {way}",
                p50_ms=round(measured.p50_ms, 2),
                p99_ms=round(measured.p99_ms, 2),
            )
        most = 0.65 if name == "client" else 0.15
        findings.promise(
            f"cold start with learned imports, {what}, to without",
            ratio(learned.p50_ms, first.p50_ms),
            "at most",
            most,
            "x",
        )
    findings.promise(
        "memory of the process that has imported boto3, and of its child", _branch_mb(), "at most", 30, "MB"
    )
    return findings


def _rounds(systems: dict[bool, System], name: str, launches: int) -> tuple[Round, Round]:
    """Without what was learned, and with it."""
    for system in systems.values():
        system.live.deploy(name, python_package(name), MemorySize=1769)
    _wait_until_learned(systems[True], name)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(launches):
        for learns, system in systems.items():
            ahead, took_ms = _cold(system, name)
            if ahead != learns:
                raise RuntimeError(f"boto3 was {'' if ahead else 'not '}there")
            seconds[learns].append(took_ms / 1000)
    return summarise(seconds[False], 0, 1.0), summarise(seconds[True], 0, 1.0)


def _wait_until_learned(system: System, name: str) -> None:
    """Two in a row: the process keeps a child prepared by then."""
    give_up = time.monotonic() + LEARN_SECONDS
    while not (_cold(system, name)[0] and _cold(system, name)[0]):
        if time.monotonic() > give_up:
            raise RuntimeError(f"nothing was learned of {name}")


def _cold(system: System, name: str) -> tuple[bool, float]:
    """Whether boto3 was there, and how long the call took. Raises RuntimeError unless it was answered."""
    call = Call(invoke(system.callers.endpoint, name, b"{}").request, 200, None)
    while True:
        time.sleep(PAUSE_SECONDS)
        sent = system.callers.send([call], 1)
        if sent.round.errors:
            raise RuntimeError(f"no answer: {sent.answers[0].body!r}")
        ahead = json.loads(sent.answers[0].body)
        if isinstance(ahead, bool):
            return ahead, sent.round.p50_ms
        # On a busy machine the last environment took the call, and ended as it was to.


def _branch_mb() -> float:
    """Of the children of all zygotes of this machine the heaviest, with the children that wait in it."""
    families = [0]
    for process in psutil.process_iter():
        try:
            parent = process.parent()
            if parent is not None and _is_zygote(parent) and _is_zygote(process):
                families.append(pss_bytes([process, *filter(_is_zygote, process.children())]))
        except psutil.Error:
            continue
    return max(families) / 2**20


def _is_zygote(process: psutil.Process) -> bool:
    return any(each.endswith("runtimes/python/start.py") for each in process.cmdline())
