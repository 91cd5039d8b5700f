"""The load generating process: `python -m tests.benchmarks.load.generator`, commands on stdin.

`load`: as many requests as go, for a time. `send`: each request once (or a given number), answers kept.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import deque
from pathlib import Path

import msgspec
import uvloop

from tests.benchmarks.client_process import Answer, Command, serve
from tests.benchmarks.load.calls import Call, read_calls
from tests.benchmarks.load.connection import Answered, Connection, cycle
from tests.benchmarks.measurements import summarise


class Load:
    """Hands out calls until a moment; counts what came after the warm-up."""

    def __init__(self, calls: list[Call], warm_seconds: float, seconds: float) -> None:
        self._calls = cycle(calls, None)
        self.starts_at = time.perf_counter() + warm_seconds
        self.ends_at = self.starts_at + seconds
        self.latencies: list[float] = []
        self.errors = 0
        self.keeping = False

    def next_call(self) -> Call | None:
        return next(self._calls) if time.perf_counter() < self.ends_at else None

    def done(self, sent_at: float, right: bool) -> None:
        done_at = time.perf_counter()
        if not right:
            self.errors += 1
        elif self.starts_at <= done_at < self.ends_at:
            self.latencies.append(done_at - sent_at)

    def broken(self, reason: str) -> None:
        self.errors += 1

    def keep(self, answer: Answered) -> None: ...


class Send:
    """Hands out each call once and keeps the answers."""

    def __init__(self, calls: list[Call], limit: int, keeping: bool) -> None:
        self._calls = cycle(calls, limit)
        self.answers: list[Answered] = []
        self.latencies: list[float] = []
        self.errors = 0
        self.keeping = keeping

    def next_call(self) -> Call | None:
        return next(self._calls, None)

    def done(self, sent_at: float, right: bool) -> None:
        if right:
            self.latencies.append(time.perf_counter() - sent_at)
        else:
            self.errors += 1

    def broken(self, reason: str) -> None:
        self.errors += 1

    def keep(self, answer: Answered) -> None:
        self.answers.append(answer)


async def run(sink: Load | Send, host: str, port: int, connections: int) -> None:
    """Connect, then keep every connection busy until the sink has no more calls."""
    loop = asyncio.get_running_loop()
    opened: deque[Connection] = deque()
    for _ in range(connections):
        _, connection = await loop.create_connection(lambda: Connection(sink), host, port)
        opened.append(connection)
    for connection in opened:
        connection.start()
    for connection in opened:
        await connection.ended


def load(command: Command) -> Answer:
    """A round of load; answers with a `Round`."""
    sink = Load(read_calls(Path(command["calls"])), command["warm_seconds"], command["seconds"])
    uvloop.run(run(sink, command["host"], command["port"], command["connections"]))
    return dataclasses.asdict(summarise(sink.latencies, sink.errors, sink.ends_at - sink.starts_at))


def send(command: Command) -> Answer:
    """Every call once; answers with a `Round` and leaves what it kept in a file."""
    calls = read_calls(Path(command["calls"]))
    sink = Send(calls, command["requests"] or len(calls), bool(command["keep"]))
    started_at = time.time()
    begun = time.perf_counter()
    uvloop.run(run(sink, command["host"], command["port"], command["connections"]))
    elapsed_seconds = time.perf_counter() - begun
    if command["keep"]:
        Path(command["keep"]).write_bytes(msgspec.msgpack.encode(sink.answers))
    answer = dataclasses.asdict(summarise(sink.latencies, sink.errors, elapsed_seconds))
    return {"started_at": started_at, "round": answer}


def do(command: Command) -> Answer:
    """One command."""
    match command["do"]:
        case "load":
            return load(command)
        case "send":
            return send(command)
    raise ValueError(f"unknown command {command['do']!r}")


if __name__ == "__main__":
    serve(do)
