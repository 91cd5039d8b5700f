"""AWS's client for Java, for each version of Java that Lambda has."""

from __future__ import annotations

import logging
import platform
from dataclasses import dataclass
from pathlib import Path

from worker.runtimes.java.archive import TRAINING_DIRECTORY, CannotArchive, is_current, make_archive
from worker.runtimes.java.compiler import PREFIX, CannotCompile, compile_sources, jar_name
from worker.runtimes.java.java_homes import JavaHome, find_java_homes, read_java_home
from worker.runtimes.java.java_package import add_java, can_be_added, copy_java
from worker.runtimes.java.maven import CLIENT, fetch_client, unpack_native_part
from worker.runtimes.java.native_part import native_part
from worker.runtimes.java.runtime import LIBRARIES, NATIVE_PART, OWN_JAVA, WAITING_PART, JavaRuntime
from worker.runtimes.official.interface import CannotInstall, Launch
from worker.sandbox.inside.root import RUNTIME

log = logging.getLogger(__name__)

TRAINING = Launch("lightswitch.Training", 512, {})


@dataclass(frozen=True, slots=True)
class JavaClient:
    """An OfficialClient."""

    major: int

    @property
    def runtime(self) -> str:
        return f"java{self.major}"

    def missing(self) -> str:
        if self._found() is not None or can_be_added(self.major):
            return ""
        majors = sorted({home.major for home in find_java_homes()})
        found = "Java " + ", ".join(map(str, majors)) if majors else "no Java"
        return f"needs Java {self.major} at JAVA_HOME, on the PATH or in /usr/lib/jvm; found {found}"

    def ready(self, directory: Path) -> JavaRuntime | None:
        jars = _jars(directory / LIBRARIES)
        home = read_java_home(directory / OWN_JAVA) or self._seen_by_functions()
        if not jars or home is None or not (directory / NATIVE_PART).is_file():
            return None
        if any(jar.startswith(PREFIX) and jar != jar_name() for jar in jars):
            return None  # of an earlier version of ours: to be added again
        archived = is_current(directory, home)
        can_wait = archived and (directory / WAITING_PART).is_file() and jars[-1] == jar_name()
        return JavaRuntime(home, directory, jars, archived, can_wait)

    def advice(self, directory: Path) -> str:
        """Java refuses an archive of another build of it; one that could not be made is not there."""
        runtime = self.ready(directory)
        if runtime is None or runtime.archived:
            return ""
        return f"starts slowly; once a JDK is there: lightswitch runtimes add {self.runtime} --again"

    def complete(self, directory: Path) -> None:
        """Nothing: Lambda's runtimes for Java have no SDK."""

    def install(self, directory: Path) -> None:
        """Without a compiler, or where the archive cannot be made, functions only start later."""
        directory.chmod(0o755)
        self._bring_java(directory)
        libraries = directory / LIBRARIES
        fetch_client(libraries, (directory.parent / each.runtime / LIBRARIES for each in JAVA_CLIENTS))
        unpack_native_part(libraries, directory / NATIVE_PART)
        try:
            compile_sources(find_java_homes(), libraries, directory / TRAINING_DIRECTORY)
            (directory / WAITING_PART).write_bytes(native_part(platform.machine()))
            self._make_archive(directory)
        except (CannotCompile, CannotArchive) as error:
            log.warning("%s will start slowly: %s", self.runtime, error)

    def _make_archive(self, directory: Path) -> None:
        runtime = self.ready(directory)
        assert runtime is not None, "it has just been installed"
        command = runtime.start(RUNTIME, TRAINING, "", archived=False)
        make_archive(runtime.home, directory, RUNTIME, command)

    def _bring_java(self, directory: Path) -> None:
        """Nothing where this machine has one that functions see; else a copy, or a package."""
        if self._seen_by_functions() is not None:
            return
        if (found := self._found()) is not None:
            copy_java(found, directory / OWN_JAVA)
        else:
            add_java(self.major, directory / OWN_JAVA)
        if read_java_home(directory / OWN_JAVA) is None:
            raise CannotInstall(f"the Java {self.major} for {self.runtime} does not run")

    def _found(self) -> JavaHome | None:
        return next((home for home in find_java_homes() if home.major == self.major), None)

    def _seen_by_functions(self) -> JavaHome | None:
        homes = (home for home in find_java_homes() if home.major == self.major)
        return next((home for home in homes if home.seen_by_functions), None)


def _jars(libraries: Path) -> tuple[str, ...]:
    """In the order of the class path: the client behind all that its manifest names. Where one of these came
    after it, Java 21 would refuse the archive, for it counts it as the manifest's."""
    names = (path.name for path in libraries.glob("*.jar"))
    return tuple(sorted(names, key=lambda name: (name.startswith(PREFIX), name == CLIENT, name)))


JAVA_CLIENTS = (JavaClient(17), JavaClient(21), JavaClient(25))
