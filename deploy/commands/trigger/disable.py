"""`lightswitch trigger disable`."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.options import client_options, find_endpoint


@click.command("disable")
@click.argument("trigger_id")
@client_options
def command(trigger_id: str, endpoint_url: str | None, data_dir: Path | None) -> None:
    """Keep a trigger, but do not let it call its function."""
    find_endpoint(endpoint_url, data_dir).send("PUT", f"/triggers/{trigger_id}", {"enabled": False})
