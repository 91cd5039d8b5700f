"""Options that several commands share, and how commands find the system they talk to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import click

from broker.settings import Settings
from deploy.credentials import Credentials, find_credentials
from deploy.data_dir import DataDir
from deploy.endpoint import Endpoint
from deploy.errors import NotRunning

Command = TypeVar("Command", bound=Callable[..., object])

DEFAULT_PORT = 9000


def data_dir_option(command: Command) -> Command:
    """`--data-dir DIR` (or LIGHTSWITCH_DATA_DIR), None where it is not given."""
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="This machine's files.  [default: $LIGHTSWITCH_DATA_DIR or ~/.lightswitch]",
    )(command)


def redis_url_option(command: Command) -> Command:
    """`--redis-url URL` (or LIGHTSWITCH_REDIS_URL)."""
    return click.option(
        "--redis-url",
        help="unix:///path or redis://host:port/db.  [default: $LIGHTSWITCH_REDIS_URL or the embedded one]",
    )(command)


def image_directory_option(command: Command) -> Command:
    """`--image-directory DIR`, repeatable."""
    return click.option(
        "--image-directory",
        "image_directories",
        multiple=True,
        type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
        help="Directory of the gateway's machine that container images may come from; repeatable."
        "  [default: none, no images]",
    )(command)


def client_options(command: Command) -> Command:
    """`--endpoint-url` and `--data-dir`: which system to talk to."""
    endpoint_url = click.option(
        "--endpoint-url",
        help="Address of the gateway.  [default: $AWS_ENDPOINT_URL_LAMBDA or what runs on the data dir]",
    )
    return endpoint_url(data_dir_option(command))


def find_endpoint(
    endpoint_url: str | None, data_dir: Path | None, environ: Mapping[str, str] = os.environ
) -> Endpoint:
    """The system meant by the options, else by the environment, else by the default data directory.

    A system found by its data directory is called with that directory's keys; another with the AWS keys
    of the environment where there are some. Raises NotRunning, saying what to start.
    """
    settings = Settings.from_environ(environ, data_dir=data_dir)
    directory = DataDir(settings.data_dir)
    url = endpoint_url or ("" if data_dir else environ.get("AWS_ENDPOINT_URL_LAMBDA"))
    if url:
        keys = _keys_of(environ) or find_credentials(directory, environ)
    else:
        system = directory.running()
        if system is None:
            raise NotRunning(f"no system runs on {directory.path}; start one with `lightswitch up`")
        url, keys = system.endpoint_url, find_credentials(directory, environ)
    if keys is None:
        raise NotRunning(f'no credentials for {url}; run: eval "$(lightswitch env)"')
    return Endpoint(url.rstrip("/"), settings.region, keys)


def _keys_of(environ: Mapping[str, str]) -> Credentials | None:
    if environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY"):
        return Credentials(environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"])
    return None
