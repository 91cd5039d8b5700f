"""`lightswitch trigger list`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from deploy.commands.options import client_options, find_endpoint
from deploy.commands.tables import print_table
from deploy.endpoint import Endpoint

HEADINGS = ("TRIGGER", "KIND", "FUNCTION", "ENABLED", "STATE", "LAST RESULT")


@click.command("list")
@click.option("--kind", default="", help="Only triggers of this kind.")
@click.option("--function", "function_name", default="", help="Only those that call this function.")
@client_options
def command(kind: str, function_name: str, endpoint_url: str | None, data_dir: Path | None) -> None:
    """List the triggers: id, kind, function, whether it is enabled, how it fares."""
    endpoint = find_endpoint(endpoint_url, data_dir)
    print_table(HEADINGS, [_row(trigger) for trigger in _all(endpoint, kind, function_name)])


def _all(endpoint: Endpoint, kind: str, function_name: str) -> Iterator[Any]:
    after = ""
    while True:
        page = endpoint.get("/triggers", kind=kind, function=function_name, after=after)
        yield from page["triggers"]
        after = page.get("next", "")
        if not after:
            return


def _row(trigger: Any) -> list[object]:
    function = ":".join(part for part in (trigger["function"], trigger["qualifier"]) if part)
    status = trigger["status"]
    return [
        trigger["id"],
        trigger["kind"],
        function,
        "yes" if trigger["enabled"] else "no",
        status["state"],
        status["last_result"],
    ]
