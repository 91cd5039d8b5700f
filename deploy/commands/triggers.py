"""`lightswitch triggers`: the triggers role, in the foreground."""

from __future__ import annotations

import os
from pathlib import Path

import click

from broker.settings import Settings
from deploy.commands.options import data_dir_option, redis_url_option


@click.command("triggers")
@data_dir_option
@redis_url_option
def command(data_dir: Path | None, redis_url: str | None) -> int:
    """Run one process that serves triggers: event source mappings, queues, stores, topics, schedules.

    Several share the triggers among them. SIGTERM stops it: the others take over what it served.
    """
    from deploy.data_dir import DataDir
    from deploy.process_logging import log_to_stderr
    from deploy.scheduling import favour_throughput
    from triggers.main import run

    log_to_stderr("info", os.environ)
    settings = Settings.from_environ(data_dir=data_dir, redis_url=redis_url)
    DataDir(settings.data_dir).create()
    favour_throughput()
    return run(settings)
