"""Celery's side: its configuration and the echo. Imported by `celery worker` and by the client.

Every setting that is not Celery's default says where Celery's documentation recommends it.
"""

from __future__ import annotations

import os

from celery import Celery

BROKER_URL = os.environ["BENCH_CELERY_URL"]
COUNTER_PATH = os.environ["BENCH_COUNTER_PATH"]

app = Celery("bench", broker=BROKER_URL, backend=BROKER_URL)
app.conf.update(
    # JSON for messages and results is Celery's default; said here because the comparison needs it.
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    # "Optimizing", prefetch limits: many short tasks want a large multiplier, "64 or 128 for example".
    worker_prefetch_multiplier=64,
    # "Tasks", tips: "Disable rate limits if they're not used".
    worker_disable_rate_limits=True,
    # "Optimizing", broker connection pools: as many as threads that use the broker.
    broker_pool_limit=64,
    # Defaults that are also the fast choice: early acks (one command less on the critical path), no
    # task events, no STARTED state.
    task_acks_late=False,
    worker_send_task_events=False,
    task_track_started=False,
    # A record of every result for a day, the default, would only fill memory: results are read at once.
    result_expires=300,
    broker_connection_retry_on_startup=True,
)


@app.task  # type: ignore[untyped-decorator]
def echo(payload: dict[str, object]) -> dict[str, object]:
    """Answers what it got."""
    return payload


# "Tasks", tips: "Ignore results you don't want".
@app.task(ignore_result=True)  # type: ignore[untyped-decorator]
def count(payload: dict[str, object]) -> None:
    """Leaves one byte behind, the cheapest proof that it ran (about 3 us)."""
    counter = os.open(COUNTER_PATH, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(counter, b".")
    os.close(counter)
