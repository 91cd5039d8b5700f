"""`lightswitch up`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from broker.settings import Settings
from deploy.commands.isolation import IsolationChoice, isolation_options
from deploy.commands.options import (
    DEFAULT_PORT,
    data_dir_option,
    image_directory_option,
    redis_url_option,
)


def default_workers() -> int:
    """Half of the processors: gateway, Redis and the functions want the rest."""
    return max(1, (os.cpu_count() or 2) // 2)


@click.command("up")
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True,
              help="Port of the gateway; 0 takes a free one.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the gateway listens on.")
@click.option("--workers", type=click.IntRange(1, 256), default=default_workers,
              help="Worker processes.  [default: half of the processors]")  # fmt: skip
@click.option("--drain-seconds", type=click.FloatRange(0), default=20.0, show_default=True,
              help="How long what runs may go on after Ctrl-C.")  # fmt: skip
@click.option("--with-local-aws", is_flag=True,
              help="Bring S3, SQS, SNS and DynamoDB along, in memory.")  # fmt: skip
@click.option("--local-aws-port", type=click.IntRange(0, 65535), default=0, show_default=True,
              help="Port of these services; 0 takes a free one.")  # fmt: skip
@click.option("--example", is_flag=True, help="Deploy and invoke an example function when it is ready.")
@click.option("--stop-with-parent", is_flag=True, help="Stop when the process that started this one ends.")
@image_directory_option
@isolation_options
@data_dir_option
@redis_url_option
def command(
    port: int,
    host: str,
    workers: int,
    drain_seconds: float,
    with_local_aws: bool,
    local_aws_port: int,
    example: bool,
    stop_with_parent: bool,
    image_directories: tuple[Path, ...],
    isolation: str,
    min_isolation: str,
    network: str,
    allow_network: tuple[str, ...],
    share: tuple[Path, ...],
    prepared: int,
    prewarmed: int,
    preload: tuple[str, ...],
    learned_imports_mb: int,
    data_dir: Path | None,
    redis_url: str | None,
) -> int:
    """Run the whole system on this machine: Redis, workers and a gateway.

    Prints `ready URL` when it can serve. Ctrl-C drains and stops everything; a second Ctrl-C does not wait.
    With --redis-url (or $LIGHTSWITCH_REDIS_URL) that Redis is used and none is started.
    """
    from deploy import parent_death
    from deploy.data_dir import DataDir
    from deploy.local_aws import new_local_aws
    from deploy.roles import UpOptions
    from deploy.up import run

    if stop_with_parent:
        parent_death.stop_with_parent()
    settings = Settings.from_environ(data_dir=data_dir, redis_url=redis_url)
    return run(
        UpOptions(
            settings=settings,
            data_dir=DataDir(settings.data_dir),
            host=host,
            port=port,
            workers=workers,
            drain_seconds=drain_seconds,
            embedded=not (redis_url or os.environ.get("LIGHTSWITCH_REDIS_URL")),
            example=example,
            local_aws=new_local_aws(local_aws_port) if with_local_aws else None,
            image_directories=image_directories,
            isolation=IsolationChoice(
                isolation,
                min_isolation,
                network,
                allow_network,
                share,
                prepared,
                prewarmed,
                preload,
                learned_imports_mb,
            ),
        )
    )
