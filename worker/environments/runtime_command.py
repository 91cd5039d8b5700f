"""What is executed in an environment's process where its runtime is a program."""

from __future__ import annotations

from collections.abc import Sequence

from worker.environments.interface import EnvironmentSpec
from worker.runtimes.exec_wrapper import exec_wrapper
from worker.runtimes.official.interface import Launch, OfficialRuntime
from worker.sandbox.generic_process import GenericProcess
from worker.sandbox.interface import Locations, bootstrap


class RuntimeCommand:
    """The command of one function's runtime; `official` is AWS's client for it, if that is what runs it."""

    def __init__(self, spec: EnvironmentSpec, official: OfficialRuntime | None) -> None:
        self._spec = spec
        self._official = official
        self._wrapper = exec_wrapper(spec)

    @property
    def wrapped(self) -> bool:
        """A program of the function's comes before it."""
        return bool(self._wrapper)

    @property
    def generic(self) -> GenericProcess | None:
        """The kind of pre-warmed process that may do as well."""
        return self._official.generic(self._launch()) if self._official and not self.wrapped else None

    def seen_at(self, seen: Locations) -> Sequence[str]:
        """For a process that sees its directories at `seen`."""
        command = self._runtime(seen)
        return [self._wrapper, *command] if self._wrapper else command

    def _runtime(self, seen: Locations) -> Sequence[str]:
        spec = self._spec
        if spec.image is not None:
            return spec.image.command
        if self._official is not None:
            return self._official.command(seen, self._launch())
        if spec.runtime.startswith("python"):
            return [seen.interpreter, f"{seen.library}/bootstrap.py"]
        layered = spec.layers is not None and (spec.layers / "bootstrap").is_file()
        if layered and not (spec.task_root / "bootstrap").is_file():
            return [f"{seen.layers}/bootstrap"]
        return bootstrap(seen)

    def _launch(self) -> Launch:
        return Launch(self._spec.handler, self._spec.memory_mb, self._spec.variables)
