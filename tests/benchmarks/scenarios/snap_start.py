"""Cold starts of a function with heavy imports, at the caller: as usual, and restored with SnapStart."""

from __future__ import annotations

import json
import time

from tests.benchmarks.contestants import Contestants, System
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings, ratio
from tests.benchmarks.load.calls import Call, invoke
from tests.benchmarks.measurements import Round, summarise
from tests.benchmarks.packages import python_package

FUNCTION = "heavy"
PAUSE_SECONDS = 0.15
"""After each call: its environment ends meanwhile."""


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """The same code, unpublished and as a version with SnapStart, in turns."""
    findings = Findings("SnapStart, four boto3 clients at import")
    system = contestants.start_fresh("snapstart", "--learned-imports-mb", "0")
    version = _publish(system)
    ways = {"as usual": FUNCTION, "restored": f"{FUNCTION}%3A{version}"}
    latencies: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(effort.launches + 1):
        for way, name in ways.items():
            latencies[way].append(_cold_ms(system, name) / 1000)
    rounds: dict[str, Round] = {way: summarise(seconds[1:], 0, 1.0) for way, seconds in latencies.items()}
    usual, restored = rounds["as usual"].p50_ms, rounds["restored"].p50_ms
    for way, measured in rounds.items():
        findings.add(
            f"first answer, {way}", p50_ms=round(measured.p50_ms, 2), p99_ms=round(measured.p99_ms, 2)
        )
    findings.promise("cold start with SnapStart, to without", ratio(restored, usual), "at most", 0.1, "x")
    return findings


def _publish(system: System) -> str:
    client = system.live.client
    system.live.deploy(
        FUNCTION, python_package("heavy"), MemorySize=1769, SnapStart={"ApplyOn": "PublishedVersions"}
    )
    version: str = client.publish_version(FunctionName=FUNCTION)["Version"]
    client.get_waiter("published_version_active").wait(FunctionName=FUNCTION, Qualifier=version)
    return version


def _cold_ms(system: System, name: str) -> float:
    """Raises RuntimeError unless the answer came from an environment's first run."""
    time.sleep(PAUSE_SECONDS)
    sent = system.callers.send([Call(invoke(system.callers.endpoint, name, b"{}").request, 200, None)], 1)
    body = sent.answers[0].body
    if sent.round.errors or json.loads(body) != {"runs": 1}:
        raise RuntimeError(f"no cold start: {body!r}")
    return sent.round.p50_ms
