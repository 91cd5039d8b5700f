"""`lightswitch example`: what `up --example` shows when the system is ready."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path

import click

import deploy
from broker.settings import Settings
from deploy.commands.options import client_options, find_endpoint

NAME = "hello"
PAYLOAD = b'{"name": "you"}'


@click.command("example", hidden=True)
@client_options
def command(endpoint_url: str | None, data_dir: Path | None) -> None:
    """Deploy the example function, invoke it twice, and say what to try next."""
    from deploy.lambda_client import reaching
    from deploy.packaging import zip_folder
    from deploy.rollout import FunctionSettings, defaults_of_new, roll_out

    folder = Path(deploy.__file__).parent / "examples" / NAME
    wanted = FunctionSettings(handler="app.handler")
    defaults = defaults_of_new(Settings.from_environ().account_id)
    with reaching(find_endpoint(endpoint_url, data_dir)) as client:
        done = roll_out(client, NAME, {"ZipFile": zip_folder(folder)}, wanted, defaults)
        click.echo(f"{done.action} {done.arn}")
        for temperature in ("first", "warm"):
            started = time.perf_counter()
            answer = client.invoke(FunctionName=NAME, Payload=PAYLOAD)
            milliseconds = (time.perf_counter() - started) * 1000
            click.echo(f"{answer['Payload'].read().decode()}  ({temperature} call: {milliseconds:.1f} ms)")
    click.echo(_next_steps(data_dir))


def _next_steps(data_dir: Path | None) -> str:
    program = min(sys.argv[0], os.path.relpath(sys.argv[0]), key=len)
    elsewhere = data_dir is not None and data_dir != Settings.from_environ({}).data_dir
    where = f" --data-dir {shlex.quote(str(data_dir))}" if elsewhere else ""
    return f"""
Try next, in another terminal:
  eval "$({program} env{where})"
  {program} invoke {NAME} --payload '{{"name": "Ada"}}' --log
  {program} deploy FOLDER --handler app.handler
  {program} logs {NAME} --follow
Ctrl-C here drains and stops everything."""
