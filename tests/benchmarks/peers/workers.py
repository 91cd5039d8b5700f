"""The peers' worker processes and callers, started on a Redis server that is there already."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import redis

from tests.benchmarks.client_process import ClientProcess
from tests.benchmarks.measurements import Round
from tests.process_family import Closing, end_family

CELERY_DATABASE = 1
DRAMATIQ_DATABASE = 2
READY_WITHIN_SECONDS = 30


class PeerSystem(Closing):
    """One peer: its workers under load from its own client process."""

    def __init__(self, name: str, worker: list[str], client: str, environ: Mapping[str, str]) -> None:
        self.name = name
        self.counter_path = Path(environ["BENCH_COUNTER_PATH"])
        with self.counter_path.with_suffix(".log").open("wb") as log:
            self._worker = subprocess.Popen(
                [sys.executable, "-m", *worker], env={**os.environ, **environ}, stdout=log, stderr=log
            )
        self._client = ClientProcess(client, environ=environ)
        self.idioms: dict[int, str] = {}
        """The fastest way to call it, by number of outstanding requests."""

    def call(self, outstanding: int, seconds: float, *, warm_seconds: float, idiom: str = "") -> Round:
        """A round of request and reply with `outstanding` requests under way."""
        chosen = idiom or self.idioms.get(outstanding, "window")
        answer = self._client.ask(
            {
                "do": "call",
                "idiom": chosen,
                "outstanding": outstanding,
                "seconds": seconds,
                "warm_seconds": warm_seconds,
            }
        )
        return Round(**answer)

    def wait_until_ready(self) -> None:
        """Return when a first call has come back: the workers are there."""
        self.call(1, 0.1, warm_seconds=0)

    def run_tasks(self, tasks: int, threads: int) -> tuple[float, float]:
        """Enqueue `tasks` tasks that leave a byte each; (accepted, executed) per second."""
        self.counter_path.write_bytes(b"")
        answer = self._client.ask({"do": "fire", "tasks": tasks, "threads": threads})
        while self.counter_path.stat().st_size < tasks:
            if time.time() > answer["started_at"] + 120:
                raise RuntimeError(f"{self.name} ran {self.counter_path.stat().st_size} of {tasks} tasks")
            time.sleep(0.002)
        return tasks / answer["elapsed_seconds"], tasks / (time.time() - answer["started_at"])

    def close(self) -> None:
        """End the callers, then the workers with all their children."""
        self._client.close()
        end_family(self._worker, within_seconds=10)


def start_celery(redis_socket: Path, scratch: Path) -> PeerSystem:
    """Celery with a prefork pool, its default, of one process a core, the documented number."""
    environ = {
        "BENCH_CELERY_URL": f"redis+socket://{redis_socket}?virtual_host={CELERY_DATABASE}",
        "BENCH_COUNTER_PATH": str(scratch / "celery-count"),
    }
    worker = ["celery", "-A", "tests.benchmarks.peers.celery_app", "worker", "--pool", "prefork"]
    worker += ["--concurrency", str(os.cpu_count()), "--loglevel", "WARNING"]
    # No chatter between workers: there is only one.
    worker += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return PeerSystem("Celery", worker, "tests.benchmarks.peers.celery_client", environ)


def start_dramatiq(redis_socket: Path, scratch: Path) -> PeerSystem:
    """Dramatiq's own defaults: one process a core, eight threads each."""
    environ = {
        "BENCH_DRAMATIQ_URL": f"unix://{redis_socket}?db={DRAMATIQ_DATABASE}",
        "BENCH_COUNTER_PATH": str(scratch / "dramatiq-count"),
    }
    worker = ["dramatiq", "tests.benchmarks.peers.dramatiq_app"]
    worker += ["--processes", str(os.cpu_count()), "--threads", "8"]
    return PeerSystem("Dramatiq", worker, "tests.benchmarks.peers.dramatiq_client", environ)


def choose_idioms(peer: PeerSystem, outstanding: int, seconds: float) -> dict[str, float]:
    """Try every idiom for a moment, twice; keep the fastest. Returns the best rate of each, per second."""
    reached: dict[str, float] = {}
    for idiom in ("window", "group", "threads") * 2:
        try:
            tried = peer.call(outstanding, seconds, warm_seconds=seconds / 4, idiom=idiom)
        except RuntimeError as refused:  # an idiom that a peer's client cannot do is no contestant
            print(f"{peer.name} cannot be called with {idiom}: {refused}", file=sys.stderr)
            continue
        rate = 0.0 if tried.errors else tried.requests_per_second
        reached[idiom] = max(rate, reached.get(idiom, 0.0))
    peer.idioms[outstanding] = max(reached, key=lambda idiom: reached[idiom])
    return reached


def set_fsync(redis_socket: Path, policy: str) -> None:
    """Change the server's `appendfsync` while it runs."""
    server = redis.Redis(unix_socket_path=str(redis_socket))
    server.config_set("appendfsync", policy)
    server.close()
