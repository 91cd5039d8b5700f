"""AWS's client for Node.js, aws-lambda-ric from npm: its versions, and how they are installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from worker.runtimes.node.aws_sdk import NODE_PATH_PROGRAM, add_aws_sdk, has_aws_sdk
from worker.runtimes.node.interpreter import (
    PACKAGES,
    installed_interpreter,
    interpreter_package,
    node_on_path,
    strip_interpreter,
)
from worker.runtimes.node.npm import copy_client, npm_install
from worker.runtimes.node.runtime import NodeRuntime

FIRST_WITH_HOOKS = 22


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
        hooks = (NODE_PATH_PROGRAM.name,) if self._imports_along_node_path(directory) else ()
        return NodeRuntime(self.runtime, program, directory, self.entry, self.preloaded, hooks)

    def _imports_along_node_path(self, directory: Path) -> bool:
        return self.major >= FIRST_WITH_HOOKS and (directory / NODE_PATH_PROGRAM.name).is_file()

    def advice(self, directory: Path) -> str:
        return "" if has_aws_sdk(directory) else f"AWS SDK: lightswitch runtimes add {self.runtime}"

    def complete(self, directory: Path) -> None:
        """With the AWS SDK, which earlier versions did not install."""
        if not has_aws_sdk(directory):
            add_aws_sdk(directory, [directory.parent / other.runtime for other in NODE_CLIENTS])

    def install(self, directory: Path) -> None:
        """With an interpreter unless the PATH has this version. The client's native part is compiled, unless
        another version of Node.js beside this one has it: all can load the same."""
        own = node_on_path().major != self.major
        if own:
            npm_install(directory, f"{interpreter_package()}@{self.major}")
        self._install_client(directory, own=own)
        strip_interpreter(directory)
        add_aws_sdk(directory, [directory.parent / other.runtime for other in NODE_CLIENTS])

    def _install_client(self, directory: Path, *, own: bool) -> None:
        for other in NODE_CLIENTS:
            built = directory.parent / other.runtime
            if other.package == self.package and (built / self.entry).is_file():
                copy_client(built, directory)
                return
        npm_install(directory, self.package, with_interpreter=own)


_RIC = "node_modules/aws-lambda-ric"

_VERSION_3 = ("aws-lambda-ric@3.3.0", f"{_RIC}/bin/index.mjs", (f"{_RIC}/dist/index.mjs",))
# Version 4 refuses handlers with callbacks, as Lambda does from Node.js 24 on; it runs once it is loaded.
_VERSION_4 = ("aws-lambda-ric@4.0.2", f"{_RIC}/index.mjs")

NODE_CLIENTS = (
    NodeClient(20, *_VERSION_3),
    NodeClient(22, *_VERSION_3),
    NodeClient(24, *_VERSION_4),
)
