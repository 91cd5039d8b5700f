"""Options about how functions are isolated, which `worker` takes and `up` hands on to its workers."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., object])

LEVELS = ("L3", "L2", "L1", "L0")
NETWORKS = ("open", "filtered", "none")


@dataclass(frozen=True, slots=True)
class IsolationChoice:
    """What the operator said, in the words of the command line."""

    isolation: str
    min_isolation: str
    network: str
    allow_network: tuple[str, ...]
    share: tuple[Path, ...]
    prepared: int
    prewarmed: int
    preload: tuple[str, ...] = ()
    learned_imports_mb: int = 128

    def arguments(self) -> tuple[str, ...]:
        """The same, for another command line."""
        shared = [text for path in self.share for text in ("--share", str(path))]
        allowed = [text for network in self.allow_network for text in ("--allow-network", network)]
        levels = ("--isolation", self.isolation, "--min-isolation", self.min_isolation)
        prepared = ("--prepared", str(self.prepared), "--prewarmed", str(self.prewarmed))
        preload = [text for package in self.preload for text in ("--preload", package)]
        learned = ("--learned-imports-mb", str(self.learned_imports_mb))
        return (*levels, "--network", self.network, *allowed, *shared, *prepared, *preload, *learned)


def _networks(context: click.Context, option: click.Parameter, networks: tuple[str, ...]) -> tuple[str, ...]:
    """Written out in full. Raises BadParameter."""
    try:
        return tuple(str(ipaddress.ip_network(network)) for network in networks)
    except ValueError as error:
        raise click.BadParameter(str(error), context, option) from error


AUTOMATIC = IsolationChoice("auto", "L0", "open", (), (), 4, 2)


def isolation_options(command: Command) -> Command:
    """From `--isolation` to `--learned-imports-mb`."""
    options = (
        click.option("--isolation", type=click.Choice(["auto", *LEVELS]), default="auto", show_default=True,
                     envvar="LIGHTSWITCH_ISOLATION", help="Level of isolation; auto takes the strongest."),
        click.option("--min-isolation", type=click.Choice(LEVELS), default="L0", show_default=True,
                     envvar="LIGHTSWITCH_MIN_ISOLATION", help="Refuse to start below this level."),
        click.option("--network", type=click.Choice(NETWORKS), default="open", show_default=True,
                     envvar="LIGHTSWITCH_NETWORK",
                     help="What functions may reach; none needs L2 or L3, filtered L3."),
        click.option("--allow-network", multiple=True, callback=_networks, metavar="CIDR",
                     help="Let functions reach it although --network filtered refuses it."),
        click.option("--share", type=click.Path(exists=True, file_okay=False, path_type=Path), multiple=True,
                     help="A directory that all functions see at its own path."),
        click.option("--prepared", type=click.IntRange(0, 64), default=4, show_default=True,
                     envvar="LIGHTSWITCH_PREPARED",
                     help="Processes that wait, isolated, for functions to come; some 3 MB each."),
        click.option("--prewarmed", type=click.IntRange(0, 16), default=2, show_default=True,
                     envvar="LIGHTSWITCH_PREWARMED",
                     help="The same for Node.js and Java, for each of the four memory sizes asked for last; "
                     "some 20 MB each."),
        click.option("--preload", multiple=True, metavar="PACKAGE", envvar="LIGHTSWITCH_PRELOAD",
                     help="A package of the Python runtime, e.g. boto3, that is imported ahead for functions "
                     "which do not bring it; needs L2 or L3. Nothing is learned then."),
        click.option("--learned-imports-mb", type=click.IntRange(0, 65_536), default=128, show_default=True,
                     envvar="LIGHTSWITCH_LEARNED_IMPORTS_MB",
                     help="Memory of each worker for processes that have imported what functions import, of "
                     "the Python runtime's own modules; some 18 MB for boto3. 0: none."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command
