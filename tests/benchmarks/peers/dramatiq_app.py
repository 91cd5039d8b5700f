"""Dramatiq's side: its broker and the echo. Imported by the `dramatiq` worker and by the client.

Settings are Dramatiq's defaults, which its documentation recommends: prefetch of two messages a thread,
JSON messages, the default middleware, and `RedisBackend` for results ("the recommended result backend").
"""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

REDIS_URL = os.environ["BENCH_DRAMATIQ_URL"]
COUNTER_PATH = os.environ["BENCH_COUNTER_PATH"]

broker = RedisBroker(url=REDIS_URL)  # type: ignore[no-untyped-call]
backend = RedisBackend(url=REDIS_URL)
broker.add_middleware(Results(backend=backend, result_ttl=300_000))  # type: ignore[no-untyped-call]
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def echo(payload: dict[str, object]) -> dict[str, object]:
    """Answers what it got."""
    return payload


@dramatiq.actor
def count(payload: dict[str, object]) -> None:
    """Leaves one byte behind, the cheapest proof that it ran (about 3 us)."""
    counter = os.open(COUNTER_PATH, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(counter, b".")
    os.close(counter)
