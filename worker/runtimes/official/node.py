"""Node.js: aws-lambda-ric from npm, run by the `node` on the PATH or by one from npm, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.runtimes.default_variables import default_variables
from worker.runtimes.node.interpreter import (
    PACKAGES,
    installed_interpreter,
    interpreter_package,
    node_on_path,
)
from worker.runtimes.node.npm import copy_client, npm_install
from worker.runtimes.official.interface import Launch
from worker.sandbox.generic_process import GenericProcess
from worker.sandbox.inside.root import LAYERS, PROGRAMS, RUNTIME, SCRATCH, TASK_ROOT
from worker.sandbox.interface import Locations

PROGRAM_DIRECTORY = Path(__file__).parents[1] / "node"
PROGRAM = "await_function.mjs"

READ_AT_START = ("NODE_", "LD_", "LC_", "UV_", "OPENSSL_", "SSL_", "ICU_", "MALLOC_", "AWS_LAMBDA_NODEJS_")
"""Prefixes of variables that Node.js, its libraries or the client read once, before a function is known."""
READ_AT_START_NAMES = ("LANG", "GLIBC_TUNABLES", "AWS_LAMBDA_RUNTIME_VERBOSE")
READ_LATER = ("NODE_ENV", "NODE_TLS_REJECT_UNAUTHORIZED")
"""Exceptions of these."""


@dataclass(frozen=True, slots=True)
class NodeRuntime:
    """An OfficialRuntime. `program` is an absolute path, or lies below `directory` like `entry`, and like
    `preloaded`: what can be loaded before a function is known."""

    name: str
    program: str
    directory: Path
    entry: str
    preloaded: tuple[str, ...] = ()

    def command(self, seen: Locations, launch: Launch) -> Sequence[str]:
        program = str(Path(seen.library) / self.program)
        return [program, *_flags(launch.memory_mb), f"{seen.library}/{self.entry}", launch.handler]

    def generic(self, launch: Launch) -> GenericProcess | None:
        if any(map(_is_read_at_start, launch.variables)):
            return None
        files = [f"{RUNTIME}/{file}" for file in (self.entry, *self.preloaded)]
        program = str(Path(RUNTIME) / self.program)
        seen = Locations(TASK_ROOT, RUNTIME, SCRATCH, LAYERS)
        return GenericProcess(
            runtime=self.name,
            command=(program, *_flags(launch.memory_mb), f"{PROGRAMS}/{PROGRAM}", *files),
            variables=tuple(default_variables(seen, self.name).items()),
            runtime_directory=self.directory,
            program_directory=PROGRAM_DIRECTORY,
            memory_mb=launch.memory_mb,
        )


@dataclass(frozen=True, slots=True)
class NodeClient:
    """An OfficialClient: its package; entry and what can be preloaded, below the installation."""

    major: int
    package: str
    entry: str
    preloaded: tuple[str, ...] = ()

    @property
    def runtime(self) -> str:
        return f"nodejs{self.major}.x"

    def missing(self) -> str:
        return self.lacks(node_on_path().major, interpreter_package())

    def lacks(self, major_on_path: int, package: str) -> str:
        """What is missing where the PATH has this version (0: none), and npm such a package of it."""
        if major_on_path == self.major or package:
            return ""
        machines = ", ".join(PACKAGES)
        return f"needs Node.js {self.major} on the PATH; npm has it for {machines} only"

    def ready(self, directory: Path) -> NodeRuntime | None:
        if not (directory / self.entry).is_file():
            return None
        program, on_path = installed_interpreter(directory), node_on_path()
        if program is None:
            if on_path.major != self.major:
                return None
            program = on_path.program
        return NodeRuntime(self.runtime, program, directory, self.entry, self.preloaded)

    def advice(self, directory: Path) -> str:
        return ""

    def install(self, directory: Path) -> None:
        """With an interpreter unless the PATH has this version. The client's native part is compiled, unless
        another version of Node.js beside this one has it: all can load the same."""
        own = node_on_path().major != self.major
        if own:
            npm_install(directory, f"{interpreter_package()}@{self.major}")
        for other in NODE_CLIENTS:
            built = directory.parent / other.runtime
            if other.package == self.package and (built / self.entry).is_file():
                copy_client(built, directory)
                return
        npm_install(directory, self.package, with_interpreter=own)


def _flags(memory_mb: int) -> list[str]:
    """As AWS's own bootstrap starts Node.js; else a small function's garbage is collected too late for it."""
    new_space = memory_mb // 10
    return [
        "--expose-gc",
        "--max-http-header-size=81920",
        f"--max-semi-space-size={new_space // 2}",
        f"--max-old-space-size={memory_mb - new_space}",
    ]


def _is_read_at_start(name: str) -> bool:
    return name in READ_AT_START_NAMES or (name.startswith(READ_AT_START) and name not in READ_LATER)


_RIC = "node_modules/aws-lambda-ric"

_VERSION_3 = ("aws-lambda-ric@3.3.0", f"{_RIC}/bin/index.mjs", (f"{_RIC}/dist/index.mjs",))
# Version 4 refuses handlers with callbacks, as Lambda does from Node.js 24 on; it runs once it is loaded.
_VERSION_4 = ("aws-lambda-ric@4.0.2", f"{_RIC}/index.mjs")

NODE_CLIENTS = (
    NodeClient(20, *_VERSION_3),
    NodeClient(22, *_VERSION_3),
    NodeClient(24, *_VERSION_4),
)
