"""An attack on one worker, and a neighbour that must not notice it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from tests.live_system import LiveSystem
from tests.neighbour import CALM_CALLS, LEAST_CALLS, TRIES, is_undisturbed, p99

Answer = tuple[str, Any]

NEIGHBOUR = b"def handler(event, context):\n    return event\n"
"""To be deployed as `neighbour`."""


class Neighbour:
    """Calls the neighbour one after another; every answer must be right."""

    def __init__(self, system: LiveSystem) -> None:
        self._client = system.client

    def calm(self) -> list[float]:
        return [self._call() for _ in range(CALM_CALLS)]

    def during(self, attack: Callable[[], Answer]) -> tuple[Answer, list[float]]:
        seconds: list[float] = []
        with ThreadPoolExecutor(1) as attacker:
            attacking = attacker.submit(attack)
            while not attacking.done() or len(seconds) < LEAST_CALLS:
                seconds.append(self._call())
        return attacking.result(), seconds

    def _call(self) -> float:
        started = time.perf_counter()
        answer = self._client.invoke(FunctionName="neighbour", Payload=b'"well"')
        assert answer["Payload"].read() == b'"well"'
        return time.perf_counter() - started


def attacked(system: LiveSystem, function: str, event: Any) -> Answer:
    """What a call of `function` comes to: the error's type and message, or an empty string and the result. A
    neighbour must not notice, and the worker must be the same afterwards."""
    workers, found = system.pids("worker"), list[str]()
    neighbour = Neighbour(system)
    for _ in range(TRIES):
        calm = neighbour.calm()
        answer, during = neighbour.during(partial(outcome, system, function, event))
        assert system.pids("worker") == workers
        if is_undisturbed(calm, during):
            return answer
        found.append(f"{p99(calm) * 1000:.1f} ms, then {p99(during) * 1000:.1f} ms")
    raise AssertionError(f"{function} with {event} slows its neighbour's p99 down: {found}")


def outcome(system: LiveSystem, function: str, event: Any) -> Answer:
    """What one call comes to, in the same form."""
    answer = system.client.invoke(FunctionName=function, Payload=json.dumps(event))
    document = json.loads(answer["Payload"].read())
    if "FunctionError" not in answer:
        return "", document
    return document["errorType"], document["errorMessage"]
