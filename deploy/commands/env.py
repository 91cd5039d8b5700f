"""`lightswitch env`: what a shell needs so that AWS tools talk to this system."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from broker.settings import Settings
from deploy.commands.options import DEFAULT_PORT, data_dir_option
from deploy.credentials import Credentials, find_credentials
from deploy.data_dir import DataDir
from deploy.errors import NotRunning
from deploy.local_aws import endpoint_variables


def env_lines(
    settings: Settings, keys: Credentials, endpoint_url: str, local_aws_url: str = ""
) -> Iterator[str]:
    """`export` lines: keys, region, our endpoint, those of local services, and the environment's others."""
    variables = {
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_REGION": settings.region,
        **dict(sorted(settings.endpoint_urls.items())),
        **endpoint_variables(local_aws_url),
        "AWS_ENDPOINT_URL_LAMBDA": endpoint_url,
    }
    return (f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def stale_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """`unset` lines for what would make AWS tools sign with something else."""
    return (f"unset {name}" for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE") if environ.get(name))


@click.command("env")
@click.option("--endpoint-url", help="Address of the gateway.  [default: what runs on the data directory]")
@data_dir_option
def command(endpoint_url: str | None, data_dir: Path | None) -> None:
    """Print the variables that point AWS tools at the system: eval "$(lightswitch env)"."""
    settings = Settings.from_environ(data_dir=data_dir)
    directory = DataDir(settings.data_dir)
    keys = find_credentials(directory)
    if keys is None:
        raise NotRunning(f"no credentials in {directory.path} yet; `lightswitch up` makes them")
    system = directory.running()
    if system is None and not endpoint_url:
        click.echo(f"lightswitch: nothing runs on {directory.path} at the moment", err=True)
    found = system.endpoint_url if system else f"http://127.0.0.1:{DEFAULT_PORT}"
    local = system.local_aws_url if system else ""
    for line in (*stale_variables(os.environ), *env_lines(settings, keys, endpoint_url or found, local)):
        click.echo(line)
