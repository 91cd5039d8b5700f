"""`lightswitch worker`: the worker role, in the foreground."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker.settings import Settings
from deploy.commands.isolation import isolation_options
from deploy.commands.options import data_dir_option, redis_url_option

if TYPE_CHECKING:
    from worker.sandbox.levels import Network


@click.command("worker")
@click.option("--memory-mb", type=click.IntRange(0), default=0,
              help="Memory for functions.  [default: this machine's, shared with its siblings]")  # fmt: skip
@click.option("--max-concurrency", type=click.IntRange(0), default=0,
              help="Invocations at one time.  [default: as many as memory allows]")  # fmt: skip
@click.option("--siblings", type=click.IntRange(0), default=0, show_default=True,
              help="Other workers on this machine.")  # fmt: skip
@click.option("--drain-seconds", type=click.FloatRange(0), default=20.0, show_default=True,
              help="How long invocations may go on after SIGTERM.")  # fmt: skip
@click.option("--keep-alive-seconds", type=click.FloatRange(0), envvar="LIGHTSWITCH_KEEP_ALIVE_SECONDS",
              help="How long idle environments stay.  [default: by each function's history]")  # fmt: skip
@isolation_options
@data_dir_option
@redis_url_option
def command(
    memory_mb: int,
    max_concurrency: int,
    siblings: int,
    drain_seconds: float,
    keep_alive_seconds: float | None,
    isolation: str,
    min_isolation: str,
    network: Network,
    allow_network: tuple[str, ...],
    share: tuple[Path, ...],
    prepared: int,
    prewarmed: int,
    preload: tuple[str, ...],
    learned_imports_mb: int,
    data_dir: Path | None,
    redis_url: str | None,
) -> int:
    """Run one worker process. SIGTERM drains it: what is not finished in time goes to other workers."""
    from deploy.data_dir import DataDir
    from deploy.process_logging import log_to_stderr
    from deploy.scheduling import favour_throughput
    from worker.main import run
    from worker.options import WorkerOptions
    from worker.sandbox.levels import IsolationPolicy, Level, parse_level

    log_to_stderr("info", os.environ)
    settings = Settings.from_environ(data_dir=data_dir, redis_url=redis_url)
    DataDir(settings.data_dir).create()
    shared = tuple(path.absolute() for path in share)
    levels = parse_level(isolation), Level[min_isolation]
    policy = IsolationPolicy(
        *levels, network, allow_network, shared, prepared, prewarmed, preload, learned_imports_mb
    )
    favour_throughput()
    options = WorkerOptions(
        memory_mb, max_concurrency, siblings, drain_seconds, keep_alive_seconds, isolation=policy
    )
    return run(settings, options)
