"""`lightswitch metrics`."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.options import client_options, find_endpoint
from deploy.commands.tables import print_table

HEADINGS = ("METRIC", "FUNCTION", "COUNT")


@click.command("metrics")
@client_options
def command(endpoint_url: str | None, data_dir: Path | None) -> None:
    """List what is counted for each function: RecursiveInvocationsDropped, calls stopped as recursive."""
    counted = find_endpoint(endpoint_url, data_dir).get("/metrics")
    rows = [(metric, name, count) for metric in sorted(counted) for name, count in counted[metric].items()]
    print_table(HEADINGS, sorted(rows))
