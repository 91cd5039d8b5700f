"""`lightswitch runtimes list`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from broker.settings import Settings
from deploy.commands.options import data_dir_option
from deploy.commands.tables import print_table
from worker.runtimes.official.table import CLIENTS, installed
from worker.sandbox.interpreters import find_interpreters
from worker.sandbox.process_sandbox import PROVIDED


@click.command("list")
@data_dir_option
def command(data_dir: Path | None) -> None:
    """List the runtimes of this machine: name, whether it is ready, what is missing."""
    settings = Settings.from_environ(os.environ, data_dir=data_dir)
    rows = [(f"python{version}", "ready", "") for version in find_interpreters()]
    rows += [(name, "ready", "") for name in PROVIDED]
    print_table(("RUNTIME", "STATE", "WHAT IS MISSING"), rows + _clients(settings.data_dir / "runtimes"))


def _clients(directory: Path) -> list[tuple[str, str, str]]:
    ready = installed(directory)
    rows = []
    for client in CLIENTS:
        if client.runtime in ready:
            rows.append((client.runtime, "ready", client.advice(directory / client.runtime)))
        else:
            add = f"lightswitch runtimes add {client.runtime}"
            rows.append((client.runtime, "missing", client.missing() or add))
    return rows
