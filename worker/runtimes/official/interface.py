"""What a language says of AWS's own client for it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from worker.sandbox.generic_process import GenericProcess
from worker.sandbox.interface import Locations

UNFINISHED = "unfinished-"


class CannotInstall(Exception):
    """The client cannot be had; the message says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What of a function its command depends on. `variables` are the function's own."""

    handler: str
    memory_mb: int
    variables: Mapping[str, str]


class OfficialRuntime(Protocol):
    """An installed client that can run on this machine."""

    @property
    def directory(self) -> Path:
        """Where it lies; to be seen at /var/runtime."""

    def command(self, seen: Locations, launch: Launch) -> Sequence[str]:
        """What to execute in a process that sees its directories at `seen`."""

    def generic(self, launch: Launch) -> GenericProcess | None:
        """Which kind of pre-warmed process can become the function's; None: only a plain start will do."""


class OfficialClient(Protocol):
    """A version of a client that this project knows how to get and to start."""

    @property
    def runtime(self) -> str:
        """Lambda's identifier."""

    def missing(self) -> str:
        """What this machine lacks to run it; empty where nothing."""

    def ready(self, directory: Path) -> OfficialRuntime | None:
        """The runtime, where it has been installed into `directory` and can run here."""

    def advice(self, directory: Path) -> str:
        """What would have the one in `directory` start sooner; empty where nothing."""

    def complete(self, directory: Path) -> None:
        """Add what the installation in `directory` lacks, because an earlier version of ours made it. Raises
        CannotInstall."""

    def install(self, directory: Path) -> None:
        """Get it from its registry into `directory`, which is empty. Takes minutes. Raises CannotInstall."""


def install_whole(client: OfficialClient, target: Path) -> None:
    """Install into `target` all or nothing: an installation that breaks off is no installation.

    Raises CannotInstall.
    """
    unfinished = target.with_name(UNFINISHED + target.name)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    target.parent.chmod(0o711)
    client.install(unfinished)
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
