"""How functions for Node.js are started: plainly, or from a process that has loaded everything but them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.runtimes.default_variables import default_variables
from worker.runtimes.official.interface import Launch
from worker.sandbox.generic_process import GenericProcess
from worker.sandbox.inside.root import LAYERS, PROGRAMS, RUNTIME, SCRATCH, TASK_ROOT
from worker.sandbox.interface import Locations

PROGRAM_DIRECTORY = Path(__file__).parent
PROGRAM = "await_function.mjs"

READ_AT_START = ("NODE_", "LD_", "LC_", "UV_", "OPENSSL_", "SSL_", "ICU_", "MALLOC_", "AWS_LAMBDA_NODEJS_")
"""Prefixes of variables that Node.js, its libraries or the client read once, before a function is known."""
READ_AT_START_NAMES = ("LANG", "GLIBC_TUNABLES", "AWS_LAMBDA_RUNTIME_VERBOSE")
READ_LATER = ("NODE_ENV", "NODE_TLS_REJECT_UNAUTHORIZED")
"""Exceptions of these."""


@dataclass(frozen=True, slots=True)
class NodeRuntime:
    """An OfficialRuntime. `program` is an absolute path, or lies below `directory` like `entry`, and like
    `preloaded`: what can be loaded before a function is known. `hooks` are loaded before anything else."""

    name: str
    program: str
    directory: Path
    entry: str
    preloaded: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()

    def command(self, seen: Locations, launch: Launch) -> Sequence[str]:
        program = str(Path(seen.library) / self.program)
        flags = self._flags(launch.memory_mb, seen.library)
        return [program, *flags, f"{seen.library}/{self.entry}", launch.handler]

    def generic(self, launch: Launch) -> GenericProcess | None:
        if any(map(_is_read_at_start, launch.variables)):
            return None
        files = [f"{RUNTIME}/{file}" for file in (self.entry, *self.preloaded)]
        program = str(Path(RUNTIME) / self.program)
        seen = Locations(TASK_ROOT, RUNTIME, SCRATCH, LAYERS)
        return GenericProcess(
            runtime=self.name,
            command=(program, *self._flags(launch.memory_mb, RUNTIME), f"{PROGRAMS}/{PROGRAM}", *files),
            variables=tuple(default_variables(seen, self.name).items()),
            runtime_directory=self.directory,
            program_directory=PROGRAM_DIRECTORY,
            memory_mb=launch.memory_mb,
        )

    def _flags(self, memory_mb: int, library: str) -> list[str]:
        return [*_limits(memory_mb), *(f"--import={library}/{hook}" for hook in self.hooks)]


def _limits(memory_mb: int) -> list[str]:
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
