"""`lightswitch runtimes`: what functions this machine can run."""

from __future__ import annotations

import click

from deploy.lazy_group import LazyGroup


class _Commands(LazyGroup):
    commands_by_name = {  # noqa: RUF012 - never changed
        "list": (
            "deploy.commands.runtimes.list_runtimes",
            "List what there is, and what is missing.",
        ),
        "add": ("deploy.commands.runtimes.add", "Install the official client of a runtime."),
    }


@click.group("runtimes", cls=_Commands)
def command() -> None:
    """Show and prepare the runtimes of this machine's workers."""
