"""A factory of real environments, and functions to put into them."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from broker.registry.model import LogFormat
from tests.waiting import until
from worker.environments.interface import ContainerImage, EnvironmentSpec, RunResult, Work
from worker.environments.process_environment import ProcessEnvironment
from worker.environments.process_factory import ProcessEnvironmentFactory
from worker.runtimes.official.interface import Launch
from worker.sandbox.generic_process import GenericProcess
from worker.sandbox.inside.root import PROGRAMS
from worker.sandbox.interface import Locations
from worker.sandbox.levels import IsolationPolicy
from worker.sandbox.process_sandbox import ProcessSandbox

Kind = Literal["python", "awslambdaric", "bootstrap", "prewarmed"]
"""`prewarmed`: a bootstrap in a process that waited for it, once `Workbench.prewarm` was called."""

FUNCTIONS = Path(__file__).parent / "contract" / "functions"
EXTENSION = (FUNCTIONS / "extension.py").read_text()
FUNCTION_ARN = "arn:aws:lambda:eu-central-1:123456789012:function:tried"
PYTHON_RUNTIME = f"python3.{sys.version_info.minor}"
RUNTIMES = {"python": PYTHON_RUNTIME, "prewarmed": "prewarmed"}
PATIENCE = float(os.environ.get("LIGHTSWITCH_TEST_PATIENCE", "1"))
"""How much slower than usual this machine is: an emulated one, for example."""
WHOLE_PROCESSOR_MB = 1769
"""With less, a function is slowed down as on Lambda."""

RIC_BOOTSTRAP = """#!/bin/sh
exec {python} -S -c 'import sys; sys.path.insert(0, "'$LAMBDA_TASK_ROOT'"); \\
from awslambdaric.__main__ import main; main(["awslambdaric", "'$_HANDLER'"])'
"""


@dataclass(frozen=True)
class PrewarmedBootstrap:
    """An OfficialRuntime for bootstraps written in Python; `directory` has the program that waits for one."""

    directory: Path

    def command(self, seen: Locations, launch: Launch) -> Sequence[str]:
        return [f"{seen.task_root}/bootstrap"]

    def generic(self, launch: Launch) -> GenericProcess | None:
        program = f"{PROGRAMS}/await_function.py"
        interpreter = "/usr/bin/python3"
        variables = (("PATH", "/usr/bin:/bin"),)
        command = (interpreter, "-S", program)
        return GenericProcess(
            "prewarmed", command, variables, self.directory, self.directory, launch.memory_mb
        )


@dataclass
class Tried:
    """An environment with what it said and whether its end was announced."""

    environment: ProcessEnvironment
    output: bytearray = field(default_factory=bytearray)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, payload: bytes = b"{}", *, seconds: float = 20, **work: Any) -> RunResult:
        """Run with a deadline in `seconds`, more on a slow machine."""
        deadline_ms = int((time.time() + seconds * PATIENCE) * 1000)
        details: dict[str, Any] = {
            "request_id": "7b1c9f5e-0000-4000-8000-000000000001",
            "invoked_arn": FUNCTION_ARN,
            **work,
        }
        return await self.environment.run(Work(payload=payload, deadline_ms=deadline_ms, **details))


class Workbench:
    """Makes environments of functions below `directory`."""

    def __init__(self, factory: ProcessEnvironmentFactory, sandbox: ProcessSandbox, directory: Path) -> None:
        self.factory = factory
        self.sandbox = sandbox
        self.directory = directory

    def code(self, **files: str) -> Path:
        """A task root with Python files: `app="..."` becomes app.py."""
        root = self.directory / f"code-{time.monotonic_ns()}"
        root.mkdir(mode=0o755)
        for name, text in files.items():
            path = root / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return root

    def suite_code(self, kind: Kind) -> Path:
        """The task root of the contract suite's function for a kind of runtime."""
        root = self.code(app=(FUNCTIONS / "app.py").read_text())
        if kind in ("bootstrap", "prewarmed"):
            _install_bootstrap(root, (FUNCTIONS / "bootstrap.py").read_text())
        elif kind == "awslambdaric":
            _install_awslambdaric(root)
        return root

    def layers_with_extensions(self, *names: str, text: str = EXTENSION) -> Path:
        """Layers whose extensions are programs with this `text`."""
        directory = self.directory / f"layers-{time.monotonic_ns()}" / "extensions"
        directory.mkdir(mode=0o755, parents=True)
        directory.parent.chmod(0o755)
        for name in names:
            (directory / name).write_text(text)
            (directory / name).chmod(0o755)
        return directory.parent

    def make(
        self,
        handler: str,
        task_root: Path,
        kind: Kind = "python",
        *,
        timeout_seconds: int = 20,
        memory_mb: int = WHOLE_PROCESSOR_MB,
        variables: Mapping[str, str] | None = None,
        image: ContainerImage | None = None,
        layers: Path | None = None,
        snap_start: bool = False,
        runtime: str = "",
        log_format: LogFormat = "Text",
    ) -> Tried:
        """An environment that has not been started."""
        spec = EnvironmentSpec(
            function_name="tried",
            version="$LATEST",
            function_arn=FUNCTION_ARN,
            runtime=runtime or RUNTIMES.get(kind, "provided.al2023"),
            handler=handler,
            timeout_seconds=timeout_seconds,
            memory_mb=memory_mb,
            ephemeral_storage_mb=512,
            variables=variables or {},
            task_root=task_root,
            region="eu-central-1",
            log_group="/aws/lambda/tried",
            log_format=log_format,
            image=image,
            layers=layers,
            snap_start=snap_start,
        )
        output, gone = bytearray(), asyncio.Event()
        environment = self.factory.create(spec, output.extend, gone.set)
        return Tried(environment, output, gone)

    async def prewarm(self) -> list[int]:
        """Have processes wait for functions of kind `prewarmed`; their pids."""
        first = await self.start("app.echo", self.suite_code("prewarmed"), "prewarmed")
        await first.environment.stop()
        await until(lambda: len(self.sandbox.waiting()) == PREWARMED)
        return self.sandbox.waiting()

    async def start(self, handler: str, task_root: Path, kind: Kind = "python", **variables: str) -> Tried:
        """An environment that is ready, and whose process is known.

        A zygote may tell of its child later than the child answers; and kill(0) would end the whole test run.
        """
        tried = self.make(handler, task_root, kind, variables=variables)
        await tried.environment.start()
        await until(lambda: tried.environment.pid > 0 or tried.gone.is_set())
        return tried


PREWARMED = IsolationPolicy().prewarmed
CHILDREN = 4
"""How many the suite's function `leave_children` leaves."""


def processes_naming(token: str) -> list[int]:
    """Live processes of this machine, in whatever namespace, that have `token` as an argument."""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and token.encode() in _command_line(entry)
    ]


def _command_line(process: Path) -> list[bytes]:
    try:
        return (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


@asynccontextmanager
async def workbench(
    directory: Path, library_directory: Path, sandbox: ProcessSandbox | None = None
) -> AsyncIterator[Workbench]:
    """An open factory, closed at the end."""
    sandbox = sandbox or ProcessSandbox(directory / "worker", library_directory / "current")
    factory = ProcessEnvironmentFactory(
        directory / "worker",
        library_directory=library_directory,
        find_official=lambda: {"prewarmed": PrewarmedBootstrap(FUNCTIONS / "generic")},
        sandbox=sandbox,
    )
    await factory.open()
    try:
        yield Workbench(factory, sandbox, directory)
    finally:
        await factory.close()


def _install_bootstrap(root: Path, text: str) -> None:
    bootstrap = root / "bootstrap"
    bootstrap.write_text(text)
    bootstrap.chmod(0o755)


def _install_awslambdaric(root: Path) -> None:
    """What `pip install --target` would put beside the handler."""
    found = importlib.util.find_spec("awslambdaric")
    assert found is not None
    assert found.origin is not None
    packages = Path(found.origin).parent.parent
    for package in ("awslambdaric", "simplejson"):
        shutil.copytree(packages / package, root / package)
    for pattern in ("runtime_client*.so", "snapshot_restore_py.py"):
        for file in packages.glob(pattern):
            shutil.copy(file, root)
    _install_bootstrap(root, RIC_BOOTSTRAP.format(python=f"python3.{sys.version_info.minor}"))
