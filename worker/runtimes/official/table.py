"""The clients that there are.

`install` (for `lightswitch runtimes add`) gets one from its registry once; workers offer a runtime when they
find its client, and the program that runs it, at their start.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from worker.runtimes.java.client import JAVA_CLIENTS
from worker.runtimes.node.client import NODE_CLIENTS
from worker.runtimes.official.interface import CannotInstall, OfficialClient, OfficialRuntime, install_whole

CLIENTS: tuple[OfficialClient, ...] = (*NODE_CLIENTS, *JAVA_CLIENTS)


def installed(directory: Path) -> Mapping[str, OfficialRuntime]:
    """Runtimes by name that can run here: their clients lie in `directory`, their program is there."""
    found = {client.runtime: client.ready(directory / client.runtime) for client in CLIENTS}
    return {name: runtime for name, runtime in found.items() if runtime is not None}


def install(runtime: str, directory: Path, *, again: bool = False) -> Path:
    """Get the client of `runtime` into `directory`; one that is there stays, unless `again`, and gets what it
    lacks. Takes minutes.

    Raises CannotInstall.
    """
    client = next((client for client in CLIENTS if client.runtime == runtime), None)
    if client is None:
        known = ", ".join(client.runtime for client in CLIENTS)
        raise CannotInstall(f"there is nothing to add for runtime {runtime}; what can be added: {known}")
    if problem := client.missing():
        raise CannotInstall(f"{runtime} {problem}")
    target = directory / runtime
    if again or client.ready(target) is None:
        install_whole(client, target)
    else:
        client.complete(target)
    return target
