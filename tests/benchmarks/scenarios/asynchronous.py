"""Asynchronous work: accepted per second, and executed to a recorded end per second.

Ours is done when every accepted request id has the outcome `succeeded`: asked for one by one after the
clock has stopped; the time of the last end is the broker's own. The peers record nothing for ignored
results, so their tasks leave a byte in a file each, which costs them next to nothing.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence

from tests.benchmarks.contestants import Contestants, System
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings, ratio
from tests.benchmarks.load.calls import Call
from tests.benchmarks.peers.workers import PeerSystem
from tests.signed_requests import sign

CALLERS = 64
ENDED_WITHIN_SECONDS = 60
PRODUCER_THREADS = (1, 4)
OURS = "Lightswitch"

Rates = tuple[float, float]
"""Accepted and executed, per second."""


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """Alternating rounds of fire-and-forget."""
    findings = Findings("asynchronous, 1 KB")
    runs = _runs(contestants, effort, findings)
    measured: dict[str, list[Rates]] = {name: [] for name in runs}
    for _ in range(effort.async_rounds):
        for name, run in runs.items():
            measured[name].append(run())
    executed = {name: statistics.median(rates[1] for rates in measured[name]) for name in runs}
    for name, rates in measured.items():
        findings.add(
            name,
            accepted_per_second=round(statistics.median(rate[0] for rate in rates)),
            executed_per_second=round(executed[name]),
            to_celery=round(ratio(executed[name], executed["Celery"]), 2),
            to_dramatiq=round(ratio(executed[name], executed["Dramatiq"]), 2),
        )
    times_dramatiq = ratio(executed[OURS], executed["Dramatiq"])
    findings.promise("async executed per second, times Dramatiq", times_dramatiq, "at least", 3, "x")
    return findings


def _runs(contestants: Contestants, effort: Effort, findings: Findings) -> dict[str, Callable[[], Rates]]:
    celery, dramatiq = contestants.peers()
    return {
        OURS: lambda: run_async(contestants.main, effort.async_invocations),
        "Celery": _fastest(celery, effort.async_tasks_celery, findings),
        "Dramatiq": _fastest(dramatiq, effort.async_tasks_dramatiq, findings),
    }


def _fastest(peer: PeerSystem, tasks: int, findings: Findings) -> Callable[[], Rates]:
    """Runs with the number of producer threads that is best for the peer on this machine."""
    executed = {threads: peer.run_tasks(tasks, threads)[1] for threads in PRODUCER_THREADS}
    threads = max(executed, key=lambda number: executed[number])
    findings.notes.append(
        f"{peer.name} fed by {threads} producer thread(s), the faster of {PRODUCER_THREADS}"
    )
    return lambda: peer.run_tasks(tasks, threads)


def run_async(system: System, invocations: int) -> Rates:
    """Invoke asynchronously, wait for every end; raises RuntimeError where one is not `succeeded`."""
    calls = system.echo_calls(system.need_echo(), kind="Event")
    sent = system.callers.send(calls, CALLERS, requests=invocations)
    if sent.round.errors or len(sent.answers) != invocations:
        raise RuntimeError(f"{sent.round.errors} of {invocations} asynchronous invocations were refused")
    request_ids = [answer.request_id for answer in sent.answers]
    # The last one alone is polled, so that asking does not compete with the work that is measured.
    wait_for_ends(system, request_ids[-1:])
    ends = wait_for_ends(system, request_ids)
    unlucky = [end for end in ends if end["status"] != "succeeded"]
    if unlucky or len({str(end["request_id"]) for end in ends}) != invocations:
        raise RuntimeError(f"{len(unlucky)} of {invocations} did not succeed, e.g. {unlucky[:1]}")
    last_end = max(float(str(end["finished_ms"])) / 1000 for end in ends)
    return invocations / sent.round.elapsed_seconds, invocations / (last_end - sent.started_at)


def wait_for_ends(system: System, request_ids: Sequence[str]) -> list[dict[str, object]]:
    """The terminal state of every request id, asked for over and over until it has one."""
    deadline = time.monotonic() + ENDED_WITHIN_SECONDS
    waiting, ends = list(request_ids), list[dict[str, object]]()
    while waiting:
        answers = system.callers.send([_status_call(system, one) for one in waiting], 8).answers
        records = [json.loads(answer.body) for answer in answers if answer.status == 200]
        ends += [record for record in records if record["status"] != "pending"]
        ended = {str(end["request_id"]) for end in ends}
        waiting = [request_id for request_id in waiting if request_id not in ended]
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"{len(waiting)} of {len(request_ids)} invocations have not ended: {answers[:1]}"
            )
    return ends


def _status_call(system: System, request_id: str) -> Call:
    path = f"/lightswitch/v1/invocations/{request_id}"
    return Call(sign(system.callers.endpoint, "GET", path, {}, b""), 200, None)
