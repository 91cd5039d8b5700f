"""`lightswitch deploy`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import click

from broker.settings import Settings
from deploy.commands.options import client_options, find_endpoint


def function_name_of(folder: Path) -> str:
    """A valid function name made of a folder's name."""
    stem = folder.absolute().name.removesuffix(".zip")
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:64] or "function"


def parse_variables(pairs: Iterable[str]) -> dict[str, str] | None:
    """`K=V` pairs; None where there are none."""
    variables = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{pair!r} is not of the form NAME=VALUE", param_hint="--env")
        variables[name] = value
    return variables or None


@click.command("deploy")
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--handler", help="Where the code starts, e.g. app.handler (needed for a new function).")
@click.option("--name", help="Function name.  [default: the folder's name]")
@click.option("--runtime", help="e.g. python3.12, provided.al2023.  [default: this Python's]")
@click.option("--timeout", "timeout_seconds", type=click.IntRange(1, 900), help="Seconds.  [default: 3]")
@click.option("--memory", "memory_mb", type=click.IntRange(128, 10240), help="Megabytes.  [default: 128]")
@click.option("--env", "variables", multiple=True, metavar="K=V", help="Environment variable; repeatable.")
@click.option("--role", help="ARN of the function's role.")
@client_options
def command(
    folder: Path,
    handler: str | None,
    name: str | None,
    runtime: str | None,
    timeout_seconds: int | None,
    memory_mb: int | None,
    variables: tuple[str, ...],
    role: str | None,
    endpoint_url: str | None,
    data_dir: Path | None,
) -> None:
    """Zip FOLDER, create or update a function from it, and wait until it can be invoked.

    Prints the function's ARN. Of a function that exists, what is not given stays as it is.
    """
    from deploy.lambda_client import reaching
    from deploy.packaging import package
    from deploy.rollout import FunctionSettings, defaults_of_new, roll_out

    wanted = FunctionSettings(handler, runtime, role, timeout_seconds, memory_mb, parse_variables(variables))
    defaults = defaults_of_new(Settings.from_environ().account_id)
    name = name or function_name_of(folder)
    code = package(folder)
    with reaching(find_endpoint(endpoint_url, data_dir)) as client:
        done = roll_out(client, name, code, wanted, defaults)
    click.echo(f"{done.action} {name} ({len(code)} bytes of code)", err=True)
    click.echo(done.arn)
