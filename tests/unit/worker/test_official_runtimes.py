"""Official runtime clients: what is offered, and what cannot be added says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.runtimes.official.interface import CannotInstall, Launch
from worker.runtimes.official.node import NODE_CLIENTS, NodeRuntime
from worker.runtimes.official.table import install, installed
from worker.sandbox.interface import Locations


def test_a_runtime_without_a_client_cannot_be_added_and_the_error_lists_what_can(tmp_path: Path) -> None:
    with pytest.raises(CannotInstall, match=r"ruby3.3; what can be added: nodejs20.x"):
        install("ruby3.3", tmp_path)


def test_a_client_tells_which_node_it_lacks() -> None:
    client = NODE_CLIENTS[0]
    assert client.lacks(20) == ""
    assert client.lacks(18) == "needs Node.js 20 on the PATH; found Node.js 18"
    assert client.lacks(0) == "needs Node.js 20 on the PATH; found no Node.js"


def test_nothing_is_offered_that_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "nodejs20.x").mkdir()
    assert installed(tmp_path) == {}


def test_the_client_is_started_where_the_process_sees_it(tmp_path: Path) -> None:
    runtime = NodeRuntime("/usr/bin/node", tmp_path, "entry.mjs")
    seen = Locations("/var/task", "/var/runtime", "/tmp")
    command = runtime.command(seen, Launch("app.handler", 128, {}))
    assert command == ["/usr/bin/node", "/var/runtime/entry.mjs", "app.handler"]
