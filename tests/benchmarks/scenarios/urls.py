"""Function URLs beside plain Invoke: the same echo of 1 KB over both, in alternating rounds."""

from __future__ import annotations

from collections.abc import Callable

from tests.benchmarks.contestants import Contestants, System
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings, ratio
from tests.benchmarks.load.calls import request_url
from tests.benchmarks.measurements import Round, median_round
from tests.benchmarks.payloads import encode, event

MANY = 64
DISTINCT_BODIES = 256
Call = Callable[[int], Round]


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """Rounds at 64 and at 1 outstanding."""
    findings = Findings("function URL beside Invoke, 1 KB")
    system = contestants.main
    invoke, url = _invoke(system, effort), _url(system, effort)
    for connections in (MANY, 1):
        rounds: tuple[list[Round], list[Round]] = ([], [])
        for _ in range(effort.rounds):
            for call, measured in zip((invoke, url), rounds, strict=True):
                measured.append(call(connections))
        plain, through_url = median_round(rounds[0]), median_round(rounds[1])
        share = ratio(through_url.requests_per_second, plain.requests_per_second)
        findings.add_round(f"Invoke, {connections} callers", plain)
        findings.add_round(f"function URL, {connections} callers", through_url, to_invoke=round(share, 2))
        if connections == MANY:
            findings.promise("function URL, share of Invoke's rate at 64", share, "at least", 0.8, "x")
        wrong = plain.errors + through_url.errors
        findings.promise(f"wrong answers at {connections}", wrong, "at most", 0)
    return findings


def _invoke(system: System, effort: Effort) -> Call:
    function = system.need_echo()
    return lambda connections: system.load_echo(
        function, connections, effort.seconds, warm_seconds=effort.warm_seconds
    )


def _url(system: System, effort: Effort) -> Call:
    url = system.need_url_echo()
    calls = [request_url(url, encode(event(number))) for number in range(DISTINCT_BODIES)]
    return lambda connections: system.callers.load(
        calls, connections, effort.seconds, warm_seconds=effort.warm_seconds
    )
