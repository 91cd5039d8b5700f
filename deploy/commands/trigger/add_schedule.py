"""`lightswitch trigger add schedule`."""

from __future__ import annotations

import json
from typing import Any

import click

from deploy.commands.trigger.adding import add_trigger, function_options

_ENDPOINT_OPTIONS = ("function_name", "qualifier", "disabled", "endpoint_url", "data_dir")


@click.command("schedule")
@click.argument("expression")
@click.option("--timezone", help="Of cron() and at(), e.g. Europe/Berlin.  [default: UTC]")
@click.option("--input", "input_text", help="The event, as JSON.  [default: a Scheduled Event]")
@click.option(
    "--missed",
    type=click.Choice(["skip", "once", "all"]),
    help="Of times at which nothing could fire: call for none, once for all, or for each.  [default: once]",
)
@click.option("--missed-window-seconds", type=int, help="How long ago missed ones may lie.  [default: 3600]")
@function_options
def command(expression: str, input_text: str | None, **options: Any) -> None:
    """Call a function at certain times.

    EXPRESSION is 'rate(5 minutes)', 'cron(0 10 ? * MON-FRI *)' or 'at(2026-12-24T18:00:00)'.
    """
    shared = {name: options.pop(name) for name in _ENDPOINT_OPTIONS}
    if input_text is not None:
        options["input"] = _json(input_text)
    click.echo(add_trigger("schedule", {"expression": expression, **options}, **shared)["id"])


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"it is no JSON: {error}", param_hint="--input") from error
