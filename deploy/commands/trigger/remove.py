"""`lightswitch trigger remove`."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.options import client_options, find_endpoint


@click.command("remove")
@click.argument("trigger_id")
@client_options
def command(trigger_id: str, endpoint_url: str | None, data_dir: Path | None) -> None:
    """Remove a trigger; what it has called for already still runs."""
    find_endpoint(endpoint_url, data_dir).send("DELETE", f"/triggers/{trigger_id}")
