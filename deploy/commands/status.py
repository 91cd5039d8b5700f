"""`lightswitch status`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from deploy.commands.options import client_options, find_endpoint
from deploy.endpoint import Endpoint
from deploy.errors import DeployError

POLL_SECONDS = 0.2
SUCCEEDED = 0
FAILED = 1


@click.command("status")
@click.argument("request_id")
@click.option("--wait", "wait_seconds", type=click.FloatRange(0), default=0.0, metavar="SECONDS",
              help="Wait that long for the end.")  # fmt: skip
@client_options
def command(request_id: str, wait_seconds: float, endpoint_url: str | None, data_dir: Path | None) -> int:
    """Show how the asynchronous invocation REQUEST_ID ended, as JSON.

    Exit status 0 when it succeeded or is pending, 1 when it failed or expired.
    """
    endpoint = find_endpoint(endpoint_url, data_dir)
    outcome = _outcome(endpoint, request_id)
    deadline = time.monotonic() + wait_seconds
    while outcome["status"] == "pending" and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        outcome = _outcome(endpoint, request_id)
    if wait_seconds and outcome["status"] == "pending":
        raise DeployError(f"{request_id} has not ended after {wait_seconds:g} s")
    click.echo(json.dumps(outcome, indent=2))
    return SUCCEEDED if outcome["status"] in ("succeeded", "pending") else FAILED


def _outcome(endpoint: Endpoint, request_id: str) -> Any:
    return endpoint.get(f"/invocations/{request_id}")
