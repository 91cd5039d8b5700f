"""How functions for Java are started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.runtimes.java.archive import archive_name, archive_options
from worker.runtimes.java.java_homes import JavaHome
from worker.runtimes.java.options import java_options
from worker.runtimes.official.interface import Launch
from worker.sandbox.generic_process import GenericProcess
from worker.sandbox.interface import Locations

LIBRARIES = "lib"
NATIVE_PART = "jni/libaws-lambda-jni.so"
OWN_JAVA = "java"
"""A copy of Java that came with the installation, where this machine's is none that functions see."""
CLIENT_CLASS = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda"


@dataclass(frozen=True, slots=True)
class JavaRuntime:
    """An OfficialRuntime. `jars` are names below `lib`; `archived`: an archive of their classes is there."""

    home: JavaHome
    directory: Path
    jars: tuple[str, ...]
    archived: bool

    def command(self, seen: Locations, launch: Launch) -> Sequence[str]:
        """As AWS's own bootstrap starts the client, with the user's options before its own."""
        chosen = launch.variables.get("JAVA_TOOL_OPTIONS", "")
        return self.start(seen.library, launch, chosen, archived=self.archived)

    def generic(self, launch: Launch) -> GenericProcess | None:
        """None yet: Java functions are started plainly."""
        return None

    def start(self, library: str, launch: Launch, chosen: str, *, archived: bool) -> list[str]:
        major = self.home.major
        archive = f"{library}/{archive_name(major)}"
        return [
            self._program(library),
            *java_options(major, launch.memory_mb, chosen, f"{library}/{NATIVE_PART}"),
            *(archive_options(major, archive, chosen) if archived else ()),
            "-cp",
            ":".join(f"{library}/{LIBRARIES}/{jar}" for jar in self.jars),
            CLIENT_CLASS,
            launch.handler,
        ]

    def _program(self, library: str) -> str:
        if self.home.path.is_relative_to(self.directory.resolve()):
            return f"{library}/{OWN_JAVA}/bin/java"
        return str(self.home.program)
