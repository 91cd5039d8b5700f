"""What every peer's client process does when it is asked: a round of calls, or a pile of tasks."""

from __future__ import annotations

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from tests.benchmarks.client_process import Answer, Command, serve
from tests.benchmarks.peers.idioms import EVENTS, IDIOMS, Peer, Tally


class FiringPeer(Peer, Protocol):
    """A peer that can also enqueue without wanting an answer."""

    def fire(self, payload: dict[str, object]) -> None: ...


def serve_peer(peer: FiringPeer) -> None:
    """Answer `call` and `fire` commands until stdin closes."""

    def do(command: Command) -> Answer:
        match command["do"]:
            case "call":
                tally = Tally.begin(command["warm_seconds"], command["seconds"])
                IDIOMS[command["idiom"]](peer, tally, command["outstanding"])
                return dataclasses.asdict(tally.round())
            case "fire":
                return _fire(peer, command["tasks"], command["threads"])
        raise ValueError(f"unknown command {command['do']!r}")

    serve(do)


def _fire(peer: FiringPeer, tasks: int, threads: int) -> Answer:
    """Enqueue `tasks` tasks from `threads` threads; says when the first was sent and how long it took."""

    def send(first: int) -> None:
        for number in range(first, tasks, threads):
            peer.fire(EVENTS[number % len(EVENTS)])

    started_at = time.time()
    with ThreadPoolExecutor(threads) as pool:
        for ended in [pool.submit(send, first) for first in range(threads)]:
            ended.result()
    return {"started_at": started_at, "elapsed_seconds": time.time() - started_at}
