"""`lightswitch gateway`: the gateway role, in the foreground."""

from __future__ import annotations

import os
from pathlib import Path

import click

from broker.settings import Settings
from deploy.commands.options import (
    DEFAULT_PORT,
    data_dir_option,
    image_directory_option,
    redis_url_option,
)


@click.command("gateway")
@click.option("--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--drain-seconds", type=click.FloatRange(0), default=20.0, show_default=True,
              help="How long callers may still wait for replies after SIGTERM.")  # fmt: skip
@image_directory_option
@data_dir_option
@redis_url_option
def command(
    port: int,
    host: str,
    drain_seconds: float,
    image_directories: tuple[Path, ...],
    data_dir: Path | None,
    redis_url: str | None,
) -> int:
    """Run one gateway process. SIGTERM drains it.

    Keys: $LIGHTSWITCH_ACCESS_KEY_ID and $LIGHTSWITCH_SECRET_ACCESS_KEY, else those of the data directory,
    which are made at the first start.
    """
    from deploy.credentials import ensure_credentials
    from deploy.data_dir import DataDir
    from deploy.process_logging import log_to_stderr
    from deploy.scheduling import favour_throughput
    from gateway.main import run
    from gateway.options import GatewayOptions

    log_to_stderr("info", os.environ)
    settings = Settings.from_environ(data_dir=data_dir, redis_url=redis_url)
    directory = DataDir(settings.data_dir)
    directory.create()
    keys = ensure_credentials(directory)
    credentials = {keys.access_key_id: keys.secret_access_key}
    if settings.function_credentials:
        key_id, secret = settings.function_credentials
        credentials[key_id] = secret
    favour_throughput()
    return run(settings, GatewayOptions(host, port, credentials, drain_seconds, image_directories))
