"""`lightswitch workers`."""

from __future__ import annotations

from pathlib import Path

import click

from broker.interface import WorkerInfo
from broker.invocation import now_ms
from deploy.commands.options import client_options, find_endpoint
from deploy.commands.tables import print_table

HEADINGS = ("WORKER", "HOST", "PID", "RUNNING", "CAPACITY", "UP S", "STATE", "RUNTIMES")


@click.command("workers")
@client_options
def command(endpoint_url: str | None, data_dir: Path | None) -> None:
    """List the workers of the fleet: epoch, host, pid, invocations running, capacity, age, state."""
    workers = find_endpoint(endpoint_url, data_dir).workers()
    print_table(HEADINGS, [_row(worker) for worker in workers])


def _row(worker: WorkerInfo) -> list[object]:
    age_seconds = max(0, now_ms() - worker.started_ms) // 1000
    state = "alive" if worker.alive else "lost"
    load = (worker.running, worker.capacity)
    return [worker.epoch, worker.host, worker.pid, *load, age_seconds, state, " ".join(worker.runtimes)]
