"""Container images at the levels that can run them: what a function sees is the image, confined as ever."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.container_images import Member, directory, layer
from tests.environment_workbench import EXTENSION, Tried, Workbench
from tests.python_image import python_layer
from tests.sandbox_levels import levels, workbench_at
from worker.environments.interface import ContainerImage, Exited, InitFailed, Succeeded
from worker.image_unpack import unpack
from worker.sandbox.levels import Level, Network

FUNCTIONS = Path(__file__).parent / "functions"
PROGRAM = ("/usr/bin/python3", "-IS", "/app/bootstrap.py")


def unpacked(place: Path, *members: Member) -> Path:
    """The root file system of an image with Python and the suite's functions, as a worker unpacks it."""
    names = ("app", "bootstrap", "prisoner", "storage")
    files = [Member(f"app/{name}.py", (FUNCTIONS / f"{name}.py").read_bytes()) for name in names]
    layers = place / "layers"
    layers.mkdir()
    for number, content in enumerate((python_layer(), layer(*files, *members))):
        (layers / str(number)).write_bytes(content)
    unpack(layers, place / "root")
    return place / "root"


@pytest.fixture(scope="module")
def image_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    no_program, secret = Member("app/no_program", b"text", 0o755), Member("app/secret", b"", 0o600)
    return unpacked(tmp_path_factory.mktemp("image"), no_program, secret, directory("var/data"))


level = levels(Level.L3, Level.L2)


def make(
    bench: Workbench,
    root: Path,
    handler: str = "app.describe",
    *,
    command: tuple[str, ...] = PROGRAM,
    working_directory: str = "/app",
    environment: Mapping[str, str] | None = None,
    **settings: Any,
) -> Tried:
    own = {"_HANDLER": handler, "LAMBDA_TASK_ROOT": "/app", **(environment or {})}
    image = ContainerImage(root, command, working_directory, own)
    return bench.make("", Path("/"), "bootstrap", image=image, **settings)


async def told(tried: Tried, event: Any = None) -> Any:
    outcome = (await tried.run(json.dumps(event).encode())).outcome
    assert isinstance(outcome, Succeeded), (outcome, bytes(tried.output))
    return json.loads(outcome.payload)


async def test_what_a_function_stores_is_no_memory(bench: Workbench, level: Level, image_root: Path) -> None:
    if level < Level.L3:
        pytest.skip("at this level it is")
    tried = make(bench, image_root, "storage.do", variables={"WRITTEN_IN_INIT": "200"}, memory_mb=128)
    await tried.environment.start()

    assert await told(tried, ["read", 5])


async def test_a_function_runs_in_its_image_with_the_images_environment(
    bench: Workbench, image_root: Path
) -> None:
    assert "image" in bench.factory.runtimes()
    tried = make(
        bench, image_root, environment={"COLOUR": "image", "SHAPE": "image"}, variables={"COLOUR": "function"}
    )
    await tried.environment.start()
    seen = await told(tried)
    environ = seen["environ"]
    assert seen["directory"] == "/app"
    assert (environ["COLOUR"], environ["SHAPE"]) == ("function", "image")
    assert environ["AWS_LAMBDA_FUNCTION_NAME"] == "tried"
    assert "AWS_EXECUTION_ENV" not in environ


async def test_it_sees_the_image_and_nothing_of_this_machine(bench: Workbench, image_root: Path) -> None:
    tried = make(bench, image_root, "prisoner.look_around")
    await tried.environment.start()
    seen = await told(tried)
    assert set(seen["root"]) == {*os.listdir(image_root)}
    assert {"null", "zero", "full", "random", "urandom", "fd", "stdin"} <= set(seen["devices"])
    assert seen["processes"] == [1, 2]
    assert seen["host_name"] == "sandbox"
    assert seen["uid"] != 0
    assert (seen["capabilities"], seen["no_new_privileges"], seen["seccomp"]) == (0, "1", "2")


async def test_only_its_scratch_directory_is_writable(bench: Workbench, image_root: Path) -> None:
    tried = make(bench, image_root, "prisoner.open_file")
    await tried.environment.start()
    assert await told(tried, {"path": "/tmp/mine", "mode": "w"}) == "done"
    for path in ("/app/app.py", "/etc/hosts", "/dev/null0", "/mine", "/var/data/mine", "/proc/1/environ"):
        assert await told(tried, {"path": path, "mode": "a"}) in ("EROFS", "EACCES", "ENOENT", "EPERM"), path
    assert await told(tried, {"path": "/etc/resolv.conf"}) == "done"
    assert not (image_root / "mine").exists()


async def test_programs_are_looked_for_in_the_images_path(bench: Workbench, image_root: Path) -> None:
    tried = make(
        bench, image_root, command=("python3", *PROGRAM[1:]), environment={"PATH": "/nowhere:/usr/bin"}
    )
    await tried.environment.start()
    assert (await told(tried))["environ"]["PATH"] == "/nowhere:/usr/bin"


@pytest.mark.parametrize(
    ("changes", "error_type", "text"),
    [
        ({"command": ()}, "Runtime.InvalidEntrypoint", "no entrypoint"),
        ({"command": ("/app/missing",)}, "Runtime.InvalidEntrypoint", "no such file or directory"),
        ({"command": ("/app/no_program",)}, "Runtime.InvalidEntrypoint", "exec format error"),
        ({"command": ("/app/app.py",)}, "Runtime.InvalidEntrypoint", "permission denied"),
        (
            {"command": ("missing",)},
            "Runtime.InvalidEntrypoint",
            'exec: "missing": executable file not found',
        ),
        ({"working_directory": "/missing"}, "Runtime.InvalidWorkingDir", "chdir /missing: no such file"),
    ],
)
async def test_what_cannot_be_started_is_said_in_awss_words(
    bench: Workbench, image_root: Path, changes: dict[str, Any], error_type: str, text: str
) -> None:
    tried = make(bench, image_root, **changes)
    with pytest.raises(InitFailed) as failed:
        await tried.environment.start()
    assert failed.value.error_type == error_type
    assert text in json.loads(failed.value.document)["errorMessage"]


async def test_its_end_and_its_limits_are_those_of_any_function(bench: Workbench, image_root: Path) -> None:
    leave = make(bench, image_root, "app.leave")
    await leave.environment.start()
    assert (await leave.run(b"3")).outcome == Exited("exit status 3")
    tried = make(bench, image_root, "prisoner.fill_scratch")
    await tried.environment.start()
    assert await told(tried, {"files": 600, "bytes": 1 << 20}) == "ENOSPC"


async def test_many_of_one_image_run_at_once(bench: Workbench, image_root: Path) -> None:
    several = [make(bench, image_root, "prisoner.open_file") for _ in range(4)]
    await asyncio.gather(*(tried.environment.start() for tried in several))
    for tried in several:
        assert await told(tried, {"path": "/tmp/mine"}) == "ENOENT"
        assert await told(tried, {"path": "/tmp/mine", "mode": "w"}) == "done"


async def test_extensions_of_an_image_run_beside_its_function(bench: Workbench, tmp_path: Path) -> None:
    program = EXTENSION.replace("/usr/bin/env python3", "/usr/bin/python3", 1)
    root = unpacked(tmp_path, Member("opt/extensions/watcher", program.encode(), 0o755))
    tried = make(bench, root, variables={"EXTENSION_PLAN": json.dumps({"watcher": {"events": ["INVOKE"]}})})
    await tried.environment.start()
    await told(tried)
    await tried.environment.stop()
    assert "EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE]\n" in tried.output.decode()


@pytest.mark.parametrize(
    ("level", "network", "answer"),
    [
        (Level.L3, "none", "ECONNREFUSED"),
        (Level.L2, "none", "ECONNREFUSED"),
        (Level.L3, "filtered", "EPERM"),
        (Level.L3, "open", "done"),
    ],
    ids=str,
)
async def test_the_network_is_what_the_policy_says(
    level: Level, network: Network, answer: str, image_root: Path, tmp_path: Path
) -> None:
    async with workbench_at(level, tmp_path, network) as bench:
        with socket.create_server(("127.0.0.1", 0)) as server:
            tried = make(bench, image_root, "prisoner.connect")
            await tried.environment.start()
            assert await told(tried, server.getsockname()) == answer


@pytest.mark.parametrize("level", [Level.L1, Level.L0], ids=str)
async def test_weaker_levels_say_that_they_cannot(level: Level, image_root: Path, tmp_path: Path) -> None:
    async with workbench_at(level, tmp_path) as bench:
        assert "image" not in bench.factory.runtimes()
        with pytest.raises(InitFailed, match="Sandbox") as failed:
            await make(bench, image_root).environment.start()
    assert "need isolation L3 or L2" in json.loads(failed.value.document)["errorMessage"]
