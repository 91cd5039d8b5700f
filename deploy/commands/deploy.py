"""`lightswitch deploy`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

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
@click.argument("folder", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--image", metavar="URI", help="A container image instead of FOLDER, e.g. oci:/images/shop:v1.")
@click.option(
    "--handler",
    help="Where the code starts, e.g. app.handler (needed for a new function, but not of `provided`).",
)
@click.option("--name", help="Function name.  [default: the folder's name]")
@click.option("--runtime", help="e.g. python3.12, provided.al2023.  [default: this Python's]")
@click.option("--timeout", "timeout_seconds", type=click.IntRange(1, 900), help="Seconds.  [default: 3]")
@click.option("--memory", "memory_mb", type=click.IntRange(128, 10240), help="Megabytes.  [default: 128]")
@click.option("--env", "variables", multiple=True, metavar="K=V", help="Environment variable; repeatable.")
@click.option("--role", help="ARN of the function's role.")
@client_options
def command(
    folder: Path | None,
    image: str | None,
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

    With --image (and --name) the function runs a container image, which lies on the gateway's machine where
    its --image-directory allows it: oci:PATH[:TAG], docker-archive:PATH[:NAME:TAG] or dir:PATH.

    Prints the function's ARN. Of a function that exists, what is not given stays as it is.
    """
    from deploy.lambda_client import reaching
    from deploy.packaging import package
    from deploy.rollout import FunctionSettings, defaults_of_new, roll_out

    wanted = FunctionSettings(handler, runtime, role, timeout_seconds, memory_mb, parse_variables(variables))
    defaults = defaults_of_new(Settings.from_environ().account_id, image=image is not None)
    code: dict[str, Any]
    if image is not None and folder is None and name:
        code, described = {"ImageUri": image}, f"image {image}"
    elif image is None and folder is not None:
        zipped = package(folder)
        code, described = {"ZipFile": zipped}, f"{len(zipped)} bytes of code"
        name = name or function_name_of(folder)
    else:
        raise click.UsageError("give a FOLDER, or --image URI together with --name NAME")
    with reaching(find_endpoint(endpoint_url, data_dir)) as client:
        done = roll_out(client, name, code, wanted, defaults)
    click.echo(f"{done.action} {name} ({described})", err=True)
    click.echo(done.arn)
