"""Tables for people: aligned on a terminal, tab-separated where another program reads."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

Row = Sequence[object]


def print_table(headings: Sequence[str], rows: Sequence[Row]) -> None:
    """Print rows below headings; without the headings, by tabs, where stdout is no terminal."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(map(str, row)))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)
