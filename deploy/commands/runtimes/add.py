"""`lightswitch runtimes add`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from broker.settings import Settings
from deploy.commands.options import data_dir_option
from deploy.errors import DeployError
from worker.runtimes.official.interface import CannotInstall
from worker.runtimes.official.table import install


@click.command("add")
@click.argument("runtime")
@click.option("--again", is_flag=True, help="Replace the installation that is there.")
@data_dir_option
def command(runtime: str, data_dir: Path | None, again: bool) -> None:
    """Install the official client of RUNTIME (e.g. nodejs20.x) from its registry, once.

    Workers offer the runtime a few seconds later.
    """
    settings = Settings.from_environ(os.environ, data_dir=data_dir)
    try:
        place = install(runtime, settings.data_dir / "runtimes", again=again)
    except CannotInstall as error:
        raise DeployError(str(error)) from error
    click.echo(f"{runtime} is ready in {place}")
