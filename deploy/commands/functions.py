"""`lightswitch list`."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.options import client_options, find_endpoint
from deploy.commands.tables import print_table

HEADINGS = ("NAME", "RUNTIME", "HANDLER", "MEMORY MB", "TIMEOUT S", "STATE", "LAST MODIFIED")
MEMBERS = ("FunctionName", "Runtime", "Handler", "MemorySize", "Timeout", "State", "LastModified")


@click.command("list")
@client_options
def command(endpoint_url: str | None, data_dir: Path | None) -> None:
    """List the functions: name, runtime, handler, memory, timeout, state, last change."""
    from deploy.lambda_client import reaching

    with reaching(find_endpoint(endpoint_url, data_dir)) as client:
        pages = client.get_paginator("list_functions").paginate()
        functions = [function for page in pages for function in page["Functions"]]
    print_table(HEADINGS, [[function.get(member, "") for member in MEMBERS] for function in functions])
