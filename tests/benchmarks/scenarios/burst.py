"""From nothing to many invocations that all run at once, and what an idle environment then weighs."""

from __future__ import annotations

import json

from tests.benchmarks.contestants import Contestants
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings
from tests.benchmarks.load.calls import Call, invoke
from tests.benchmarks.memory import pss_bytes


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """`effort.burst` calls at once of a function that sleeps."""
    findings = Findings(f"0 to {effort.burst} concurrent, python3.11")
    system = contestants.start_fresh("burst")
    function, endpoint = system.need_sleeper(), system.callers.endpoint
    # Afterwards the zygote is there, so that what is new below `up` are environments and nothing else.
    system.callers.send([Call(invoke(endpoint, function, b'{"sleep_seconds": 0}').request, 200, None)], 1)
    before = system.live.processes()

    payload = json.dumps({"sleep_seconds": effort.burst_sleep_seconds}).encode()
    call = Call(invoke(endpoint, function, payload).request, 200, None)
    sent = system.callers.send([call] * effort.burst, effort.burst)
    idle = system.live.processes() - before
    weight_mb = pss_bytes(idle) / 2**20 / (effort.burst - 1)  # one environment was there before
    if sent.round.errors:
        raise RuntimeError(f"{sent.round.errors} of {effort.burst} failed: {sent.answers[-1:]}")

    runs = [json.loads(answer.body) for answer in sent.answers]
    starts = sorted(float(run["started_at"]) for run in runs)
    begun_at = min(answer.sent_at for answer in sent.answers)
    peak = _peak(starts, sorted(float(run["ended_at"]) for run in runs))
    all_run_seconds = starts[-1] - begun_at
    findings.add(
        f"{effort.burst} callers",
        all_run_seconds=round(all_run_seconds, 2),
        half_run_seconds=round(starts[len(starts) // 2] - begun_at, 2),
        peak_concurrent=peak,
        idle_processes=len(idle),
        pss_mb_each=round(weight_mb, 2),
    )
    findings.promise(f"{effort.burst} running at once", peak, "at least", effort.burst)
    findings.promise(f"time until {effort.burst} run", all_run_seconds, "at most", 10, "s")
    findings.promise("PSS of an idle environment", weight_mb, "at most", 5, "MB")
    return findings


def _peak(starts: list[float], ends: list[float]) -> int:
    """The most runs that were under way at one moment."""
    ended = peak = 0
    for begun, start in enumerate(starts, 1):
        while ends[ended] <= start:
            ended += 1
        peak = max(peak, begun - ended)
    return peak
