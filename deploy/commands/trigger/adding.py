"""What every `lightswitch trigger add KIND` shares: the function, and asking the gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from deploy.commands.options import client_options, find_endpoint

Command = TypeVar("Command", bound=Callable[..., object])


def function_options(command: Command) -> Command:
    """`--function NAME`, `--qualifier`, `--disabled`, `--endpoint-url`, `--data-dir`."""
    for option in (
        click.option("--disabled", is_flag=True, help="Add it, but do not let it call the function yet."),
        click.option("--qualifier", default="", help="Version or alias.  [default: $LATEST]"),
        click.option("--function", "function_name", required=True, help="The function to call."),
    ):
        command = option(command)
    return client_options(command)


def add_trigger(
    kind: str,
    settings: Mapping[str, Any],
    *,
    function_name: str,
    qualifier: str,
    disabled: bool,
    endpoint_url: str | None,
    data_dir: Path | None,
) -> Any:
    """The new trigger as the gateway shows it. Settings that are None are left out. Raises DeployError."""
    document = {
        "kind": kind,
        "function": function_name,
        "qualifier": qualifier,
        "enabled": not disabled,
        "settings": {name: value for name, value in settings.items() if value is not None},
    }
    return find_endpoint(endpoint_url, data_dir).send("POST", "/triggers", document)


def add_pushed_trigger(kind: str, settings: Mapping[str, Any], **shared: Any) -> tuple[Any, str]:
    """As `add_trigger`, for what others push to the gateway: the trigger, and the URL to post to."""
    trigger = add_trigger(kind, settings, **shared)
    gateway = find_endpoint(shared["endpoint_url"], shared["data_dir"]).url
    return trigger, f"{gateway}/lightswitch/hooks/{kind.replace('_', '-')}/{trigger['id']}"
