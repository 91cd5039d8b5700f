"""How functions for Java are started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.runtimes.default_variables import default_variables
from worker.runtimes.java.archive import CLASSES_FILE, TRAINING_DIRECTORY, archive_name, archive_options
from worker.runtimes.java.java_homes import JavaHome
from worker.runtimes.java.options import java_options
from worker.runtimes.official.interface import Launch
from worker.sandbox.generic_process import GenericProcess
from worker.sandbox.inside.root import LAYERS, RUNTIME, SCRATCH, TASK_ROOT
from worker.sandbox.interface import Locations

LIBRARIES = "lib"
NATIVE_PART = "jni/libaws-lambda-jni.so"
OWN_JAVA = "java"
"""A copy of Java that came with the installation, where this machine's is none that functions see."""
WAITING_PART = "jni/liblightswitch.so"
WAITING_CLASS = "lightswitch.AwaitFunction"
PROGRAM_DIRECTORY = Path(__file__).with_name("sources")
"""All that a process needs while it waits lies in the installation; this is only for people to read."""
READ_AT_START = ("JAVA_", "JDK_", "_JAVA", "LC_", "LD_", "MALLOC_")
READ_AT_START_NAMES = ("CLASSPATH", "GLIBC_TUNABLES", "LANG", "TZ")
CLIENT_CLASS = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda"


@dataclass(frozen=True, slots=True)
class JavaRuntime:
    """An OfficialRuntime. `jars` are names below `lib`; `archived`: an archive of their classes is there;
    `can_wait`: so is what a process needs that waits for its function."""

    home: JavaHome
    directory: Path
    jars: tuple[str, ...]
    archived: bool
    can_wait: bool = False

    def command(self, seen: Locations, launch: Launch) -> Sequence[str]:
        """As AWS's own bootstrap starts the client, with the user's options before its own."""
        chosen = launch.variables.get("JAVA_TOOL_OPTIONS", "")
        return self.start(seen.library, launch, chosen, archived=self.archived)

    def generic(self, launch: Launch) -> GenericProcess | None:
        """One for each memory size: the heap's limit is fixed when Java starts."""
        if not self.can_wait or any(map(is_read_at_start, launch.variables)):
            return None
        seen = Locations(TASK_ROOT, RUNTIME, SCRATCH, LAYERS)
        *plain, _, _ = self.start(RUNTIME, launch, "", archived=self.archived)
        files = [f"{RUNTIME}/{file}" for file in (WAITING_PART, CLASSES_FILE, TRAINING_DIRECTORY)]
        return GenericProcess(
            runtime=f"java{self.home.major}",
            command=(*plain, WAITING_CLASS, *files),
            variables=tuple(default_variables(seen, f"java{self.home.major}").items()),
            runtime_directory=self.directory,
            program_directory=PROGRAM_DIRECTORY,
            memory_mb=launch.memory_mb,
        )

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


def is_read_at_start(name: str) -> bool:
    """Whether Java or the C library reads this variable before a function is known."""
    return name in READ_AT_START_NAMES or name.startswith(READ_AT_START)
