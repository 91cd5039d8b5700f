"""`lightswitch logs`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from deploy.commands.options import client_options, find_endpoint

LONGEST_WAIT_SECONDS = 5.0
PAGE = 1000


@click.command("logs")
@click.argument("name")
@click.option("--follow", is_flag=True, help="Go on printing what comes, until Ctrl-C.")
@click.option("--timestamps", is_flag=True, help="Begin each line with the time at which it was written.")
@client_options
def command(
    name: str, follow: bool, timestamps: bool, endpoint_url: str | None, data_dir: Path | None
) -> None:
    """Print the log of function NAME, oldest first."""
    endpoint = find_endpoint(endpoint_url, data_dir)
    path = f"/functions/{quote(name, safe='')}/logs"
    after, wait_seconds = "", 0.0
    while True:
        page = endpoint.get(path, after=after, limit=PAGE, wait_seconds=wait_seconds)
        for event in page["events"]:
            sys.stdout.write(_printed(event, timestamps))
        sys.stdout.flush()
        after = page["next"]
        if len(page["events"]) < PAGE:
            if not follow:
                return
            wait_seconds = LONGEST_WAIT_SECONDS


def _printed(event: Mapping[str, Any], timestamps: bool) -> str:
    text: str = event["message"].rstrip("\n")
    if not timestamps:
        return f"{text}\n"
    moment = datetime.fromtimestamp(event["time_ms"] / 1000, UTC).isoformat(timespec="milliseconds")
    return "".join(f"{moment.replace('+00:00', 'Z')} {line}\n" for line in text.split("\n"))
