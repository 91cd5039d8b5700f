"""`lightswitch trigger`: what calls functions by itself."""

from __future__ import annotations

import click

from deploy.lazy_group import LazyGroup


class _Commands(LazyGroup):
    commands_by_name = {  # noqa: RUF012 - never changed
        "add": ("deploy.commands.trigger.add", "Add a trigger."),
        "list": ("deploy.commands.trigger.list_triggers", "List the triggers."),
        "show": ("deploy.commands.trigger.show", "Show a trigger as JSON."),
        "enable": ("deploy.commands.trigger.enable", "Let a trigger call its function."),
        "disable": (
            "deploy.commands.trigger.disable",
            "Keep a trigger, but let it call nothing.",
        ),
        "remove": ("deploy.commands.trigger.remove", "Remove a trigger."),
    }


@click.group("trigger", cls=_Commands)
def command() -> None:
    """Add, list, show and remove what calls functions: queues, stores, topics, schedules, routes.

    Event source mappings are managed through the Lambda API; `list` shows them, too.
    """
