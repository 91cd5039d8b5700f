"""`lightswitch trigger show`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from deploy.commands.options import client_options, find_endpoint


@click.command("show")
@click.argument("trigger_id")
@click.option("--secrets", is_flag=True, help="Show tokens and passwords, too.")
@client_options
def command(trigger_id: str, secrets: bool, endpoint_url: str | None, data_dir: Path | None) -> None:
    """Show a trigger and how it fares, as JSON; secrets are masked unless asked for."""
    query = {"secrets": "true"} if secrets else {}
    shown = find_endpoint(endpoint_url, data_dir).get(f"/triggers/{trigger_id}", **query)
    click.echo(json.dumps(shown, indent=2))
