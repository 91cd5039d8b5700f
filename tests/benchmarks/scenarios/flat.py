"""Flat cost: many deployed functions and a long queue must not make an invocation dearer.

Two systems side by side, a plain one and one that is filled, in alternating rounds, so that a slow moment
of the machine hits both.
"""

from __future__ import annotations

from tests.benchmarks.contestants import Contestants, System
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings, ratio
from tests.benchmarks.load.calls import invoke
from tests.benchmarks.measurements import Round, median_round
from tests.benchmarks.packages import python_package
from tests.benchmarks.payloads import PAYLOAD_BYTES

MANY = 64
NOISE = 0.25
"""Differences below a quarter are ties on a shared machine."""


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """Rounds beside 1,000 functions; then beside a queue of 100,000 messages as well."""
    findings = Findings("flat cost, 1 KB echo")
    plain, full = contestants.main, contestants.crowded
    functions = _deploy(full, effort.deployed_functions)
    _compare(findings, plain, full, effort, "1 function", f"{functions:,} functions")
    queued = _fill_queue(full, effort.queued_messages)
    _compare(findings, plain, full, effort, "empty queue", f"{queued:,} queued")
    return findings


def _deploy(system: System, functions: int) -> int:
    """Bring the number of deployed functions up to `functions`."""
    present = len(_names(system))
    missing = [f"filler-{number:04d}" for number in range(present, functions)]
    system.deploy_many(missing, python_package("echo"))
    return len(_names(system))


def _names(system: System) -> list[str]:
    pages = system.live.client.get_paginator("list_functions").paginate()
    return [function["FunctionName"] for page in pages for function in page["Functions"]]


def _fill_queue(system: System, messages: int) -> int:
    """Messages for a function that may run once at a time and is asleep: all but one of them wait."""
    sleeper = system.need_sleeper()
    system.live.client.put_function_concurrency(FunctionName=sleeper, ReservedConcurrentExecutions=1)
    payload = b'{"sleep_seconds": 800, "pad": "%s"}' % (b"x" * (PAYLOAD_BYTES - 34))
    call = invoke(system.callers.endpoint, sleeper, payload, kind="Event")
    sent = system.callers.send([call], MANY, requests=messages, keep=False)
    if sent.round.errors:
        raise RuntimeError(f"{sent.round.errors} of {messages} messages were refused")
    return messages


def _compare(
    findings: Findings, plain: System, full: System, effort: Effort, without: str, with_it: str
) -> None:
    for connections in (MANY, 1):
        rounds: tuple[list[Round], list[Round]] = ([], [])
        for _ in range(effort.rounds):
            for system, measured in zip((plain, full), rounds, strict=True):
                function = system.need_echo()
                measured.append(
                    system.load_echo(function, connections, effort.seconds, warm_seconds=effort.warm_seconds)
                )
        bare, loaded = median_round(rounds[0]), median_round(rounds[1])
        faster = ratio(loaded.requests_per_second, bare.requests_per_second)
        longer = ratio(loaded.p50_ms, bare.p50_ms)
        findings.add_round(f"{without}, {connections} callers", bare)
        findings.add_round(f"{with_it}, {connections} callers", loaded, to_plain=round(faster, 2))
        findings.promise(f"{with_it}: req/s at {connections}, to plain", faster, "at least", 1 - NOISE, "x")
        findings.promise(f"{with_it}: p50 at {connections}, to plain", longer, "at most", 1 + NOISE, "x")
