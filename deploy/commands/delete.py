"""`lightswitch delete`."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.options import client_options, find_endpoint


@click.command("delete")
@click.argument("name")
@client_options
def command(name: str, endpoint_url: str | None, data_dir: Path | None) -> None:
    """Delete function NAME with all its versions and aliases."""
    from deploy.lambda_client import reaching

    with reaching(find_endpoint(endpoint_url, data_dir)) as client:
        client.delete_function(FunctionName=name)
    click.echo(f"deleted {name}", err=True)
