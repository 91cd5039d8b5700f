"""The load generator as the scenarios use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.benchmarks.client_process import ClientProcess
from tests.benchmarks.load.calls import Call, write_calls
from tests.benchmarks.load.connection import Answered
from tests.benchmarks.measurements import Round
from tests.signed_requests import Endpoint

GENERATOR = "tests.benchmarks.load.generator"


@dataclass(frozen=True, slots=True)
class Sent:
    """Requests that were sent once each. `started_at` is `time.time()` just before the first."""

    started_at: float
    round: Round
    answers: tuple[Answered, ...]


class Callers:
    """Callers of one endpoint, in a process of their own."""

    def __init__(self, process: ClientProcess, endpoint: Endpoint, scratch: Path) -> None:
        self._process = process
        self.endpoint = endpoint
        self._calls_path = scratch / f"calls-{endpoint.port}"
        self._answers_path = scratch / f"answers-{endpoint.port}"

    def load(self, calls: Sequence[Call], connections: int, seconds: float, *, warm_seconds: float) -> Round:
        """Call as fast as the answers come, on `connections` connections."""
        write_calls(self._calls_path, calls)
        command = {"do": "load", "seconds": seconds, "warm_seconds": warm_seconds}
        return Round(**self._process.ask({**command, **self._target(connections)}))

    def send(self, calls: Sequence[Call], connections: int, *, requests: int = 0, keep: bool = True) -> Sent:
        """Send each call once (or `requests` in all, over and over) and keep the answers."""
        write_calls(self._calls_path, calls)
        command = {"do": "send", "requests": requests, "keep": str(self._answers_path) if keep else ""}
        answer = self._process.ask({**command, **self._target(connections)})
        kept: list[Answered] = []
        if keep:
            kept = msgspec.msgpack.decode(self._answers_path.read_bytes(), type=list[Answered])
        return Sent(answer["started_at"], Round(**answer["round"]), tuple(kept))

    def _target(self, connections: int) -> dict[str, object]:
        host, port = self.endpoint.host, self.endpoint.port
        return {"host": host, "port": port, "connections": connections, "calls": str(self._calls_path)}
