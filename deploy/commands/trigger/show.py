"""`lightswitch trigger show`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from deploy.commands.options import client_options, find_endpoint


@click.command("show")
@click.argument("trigger_id")
@client_options
def command(trigger_id: str, endpoint_url: str | None, data_dir: Path | None) -> None:
    """Show a trigger and how it fares, as JSON; secrets are masked."""
    click.echo(json.dumps(find_endpoint(endpoint_url, data_dir).get(f"/triggers/{trigger_id}"), indent=2))
