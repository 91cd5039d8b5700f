"""`lightswitch doctor`."""

from __future__ import annotations

from pathlib import Path

import click

from broker.settings import Settings
from deploy.commands.options import DEFAULT_PORT, data_dir_option

COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command("doctor")
@click.option("--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True,
              help="Port that the gateway would have.")  # fmt: skip
@data_dir_option
def command(port: int, data_dir: Path | None) -> int:
    """Check this machine and the system that runs on it, and say what to do.

    Exit status 1 when something fails.
    """
    from deploy.doctor.machine import check_machine
    from deploy.doctor.system import check_system

    settings = Settings.from_environ(data_dir=data_dir)
    failed = False
    for finding in (*check_machine(settings.data_dir), *check_system(settings, port)):
        failed = failed or finding.level == "fail"
        mark = click.style(f"{finding.level:<4}", fg=COLORS[finding.level])
        click.echo(f"{mark}  {finding.subject:<15} {finding.detail}")
        if finding.advice:
            click.echo(f"      {'':<15} -> {finding.advice}")
    return int(failed)
