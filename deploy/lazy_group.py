"""A group of commands whose modules are imported only when they are called."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import ClassVar

import click

Commands = Mapping[str, tuple[str, str]]
"""Name -> module, whose `command` it is, and a line about it."""


class LazyGroup(click.Group):
    """Give it its `commands_by_name`, and `hidden` ones that help does not list."""

    commands_by_name: ClassVar[Commands] = {}
    hidden_commands: ClassVar[Mapping[str, str]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands_by_name)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = self.commands_by_name.get(cmd_name)
        module = known[0] if known else self.hidden_commands.get(cmd_name)
        if module is None:
            return None
        command: click.Command = import_module(module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.commands_by_name.items()])
