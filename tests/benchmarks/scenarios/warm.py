"""Warm request and reply: ours over signed HTTP beside the peers without HTTP, in alternating rounds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from tests.benchmarks.contestants import Contestants
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings, ratio
from tests.benchmarks.measurements import Round, median_round
from tests.benchmarks.peers.workers import choose_idioms, set_fsync

MANY = 64
Call = Callable[[int], Round]
"""A round with so many requests outstanding."""
Medians = dict[str, Round]

OURS = "Lightswitch, python3.11"
OURS_RIC = "Lightswitch, awslambdaric"


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """Rounds at 64 and at 1 outstanding; then at 64 with the Redis that syncs only every second."""
    findings = Findings("warm request-reply, 1 KB")
    calls = _calls(contestants, effort, findings)
    many = _alternate(calls, MANY, effort.rounds)
    one = _alternate(calls, 1, effort.rounds)
    for outstanding, medians in ((MANY, many), (1, one)):
        _add(findings, medians, f"{outstanding} outstanding")
    _add(findings, _with_fsync_every_second(contestants, calls), f"{MANY} outstanding, AOF everysec")
    _promise(findings, many, one)
    return findings


def _calls(contestants: Contestants, effort: Effort, findings: Findings) -> dict[str, Call]:
    system = contestants.main

    def ours(function: str) -> Call:
        return lambda connections: system.load_echo(
            function, connections, effort.seconds, warm_seconds=effort.warm_seconds
        )

    calls = {OURS: ours(system.need_echo()), OURS_RIC: ours(system.need_awslambdaric_echo())}
    for peer in contestants.peers():
        reached = choose_idioms(peer, MANY, effort.try_seconds)
        tried = ", ".join(f"{idiom} {rate:,.0f}/s" for idiom, rate in reached.items())
        findings.notes.append(f"{peer.name} called at {MANY} by its fastest client: {tried}")
        calls[peer.name] = lambda outstanding, peer=peer: peer.call(  # type: ignore[misc]
            outstanding, effort.seconds, warm_seconds=effort.warm_seconds
        )
    return calls


def _alternate(calls: dict[str, Call], outstanding: int, rounds: int) -> Medians:
    """Round after round through everybody, beginning with another one each time."""
    names = list(calls)
    measured: dict[str, list[Round]] = defaultdict(list)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            measured[name].append(calls[name](outstanding))
    return {name: median_round(measured[name]) for name in names}


def _with_fsync_every_second(contestants: Contestants, calls: dict[str, Call]) -> Medians:
    """The sceptic's row: it is not the durable setting that holds the peers back."""
    socket = contestants.main.live.redis_socket
    set_fsync(socket, "everysec")
    try:
        return _alternate(calls, MANY, 1)
    finally:
        set_fsync(socket, "always")


def _add(findings: Findings, medians: Medians, load: str) -> None:
    celery, dramatiq = medians["Celery"], medians["Dramatiq"]
    for name, measured in medians.items():
        findings.add_round(
            f"{name}, {load}",
            measured,
            to_celery=round(ratio(measured.requests_per_second, celery.requests_per_second), 2),
            to_dramatiq=round(ratio(measured.requests_per_second, dramatiq.requests_per_second), 2),
        )


def _promise(findings: Findings, many: Medians, one: Medians) -> None:
    def faster(name: str, peer: str) -> float:
        return ratio(many[name].requests_per_second, many[peer].requests_per_second)

    wrong = sum(r.errors for medians in (many, one) for r in medians.values())
    findings.promise("wrong answers, ours and theirs", wrong, "at most", 0)
    findings.promise("64 callers, times Celery", faster(OURS, "Celery"), "at least", 15, "x")
    findings.promise("64 callers, times Dramatiq", faster(OURS, "Dramatiq"), "at least", 5, "x")
    findings.promise(
        "64 callers with awslambdaric, times Celery", faster(OURS_RIC, "Celery"), "at least", 8, "x"
    )
    shorter = ratio(one["Celery"].p50_ms, one[OURS].p50_ms)
    findings.promise("p50 of one caller, Celery's over ours", shorter, "at least", 5, "x")
