"""Function URLs and HTTP API routes beside plain Invoke: the same echo of 1 KB, in alternating rounds."""

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
    findings = Findings("function URL and HTTP API route beside Invoke, 1 KB")
    system = contestants.main
    invoke = _invoke(system, effort)
    url, route = (_address(system, effort, at) for at in (system.need_url_echo(), system.need_route_echo()))
    for connections in (MANY, 1):
        rounds: tuple[list[Round], ...] = ([], [], [])
        for _ in range(effort.rounds):
            for call, measured in zip((invoke, url, route), rounds, strict=True):
                measured.append(call(connections))
        plain, through_url, through_route = (median_round(measured) for measured in rounds)
        share = ratio(through_url.requests_per_second, plain.requests_per_second)
        findings.add_round(f"Invoke, {connections} callers", plain)
        findings.add_round(f"function URL, {connections} callers", through_url, to_invoke=round(share, 2))
        route_share = ratio(through_route.requests_per_second, plain.requests_per_second)
        findings.add_round(f"route, {connections} callers", through_route, to_invoke=round(route_share, 2))
        if connections == MANY:
            findings.promise("function URL, share of Invoke's rate at 64", share, "at least", 0.8, "x")
        wrong = plain.errors + through_url.errors + through_route.errors
        findings.promise(f"wrong answers at {connections}", wrong, "at most", 0)
    return findings


def _invoke(system: System, effort: Effort) -> Call:
    function = system.need_echo()
    return lambda connections: system.load_echo(
        function, connections, effort.seconds, warm_seconds=effort.warm_seconds
    )


def _address(system: System, effort: Effort, url: str) -> Call:
    calls = [request_url(url, encode(event(number))) for number in range(DISTINCT_BODIES)]
    return lambda connections: system.callers.load(
        calls, connections, effort.seconds, warm_seconds=effort.warm_seconds
    )
