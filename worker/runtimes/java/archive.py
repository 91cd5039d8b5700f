"""The client's classes as the Java virtual machine likes to find them: parsed, checked, mapped into memory.

Made once for each installation, by running a function and writing down what was loaded: a dynamic archive of
class data sharing; from Java 25 on an ahead-of-time cache (JEP 514). It halves the processor time of a start.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker.runtimes.java.java_homes import JavaHome
from worker.runtimes.java.training import training_variables

CACHE_SINCE = 25
MADE_WITHIN_SECONDS = 120
LOG_FILE = "classes.log"
BUILD_FILE = "archive.build"
"""Names the build of Java that the archive was made by: another one refuses it."""
CLASSES_FILE = "classes.list"
"""Names of the classes that were loaded."""
TRAINING_DIRECTORY = "training"
"""Below the runtime's directory: the function that is run, and where it runs."""

CHOSEN = r"-Xshare:|-XX:SharedArchiveFile=|-XX:AOT"


class CannotArchive(Exception):
    """Java did not make it; functions start all the same, only later."""


def archive_name(major: int) -> str:
    """The file's name in the runtime's directory."""
    return "classes.aot" if major >= CACHE_SINCE else "classes.jsa"


def archive_options(major: int, archive: str, chosen: str) -> list[str]:
    """What has Java use the archive at `archive`, unless the function's JAVA_TOOL_OPTIONS `chosen` decide.

    Where it does not fit, Java goes on without; it shall not complain of that in the function's log.
    """
    if re.search(rf"(^|\s)({CHOSEN})", chosen):
        return []
    if major >= CACHE_SINCE:
        return [f"-XX:AOTCache={archive}", "-Xlog:aot*=off", "-Xlog:cds*=off"]
    return ["-Xshare:auto", f"-XX:SharedArchiveFile={archive}", "-Xlog:cds*=off"]


def is_current(directory: Path, home: JavaHome) -> bool:
    """There is an archive, and it was made by this build of Java."""
    build = directory / BUILD_FILE
    made = build.is_file() and (directory / archive_name(home.major)).is_file()
    return made and build.read_text() == home.build


def make_archive(home: JavaHome, directory: Path, seen: str, command: Sequence[str]) -> None:
    """Run `command` (a start of the client with the function `lightswitch.Training`), and have what it loads
    archived in `directory`, which it sees at `seen`. Raises CannotArchive."""
    archive = directory / archive_name(home.major)
    archive.unlink(missing_ok=True)
    maker = "AOTCacheOutput" if home.major >= CACHE_SINCE else "ArchiveClassesAtExit"
    program, *rest = command
    log = f"-Xlog:class+load:file={seen}/{LOG_FILE}:none"
    watched = [program, f"-XX:{maker}={seen}/{archive.name}", log, *rest]
    in_view = [sys.executable, "-m", "worker.runtimes.java.view", str(directory), TRAINING_DIRECTORY]
    with training_variables() as variables:
        said = _run([*in_view, *watched], variables)
    if not archive.is_file():
        raise CannotArchive(said[-2000:])
    archive.chmod(0o644)
    _list_classes(directory)
    (directory / BUILD_FILE).write_text(home.build)


def _list_classes(directory: Path) -> None:
    """Those that have a name: not the ones that Java makes while it runs."""
    names: dict[str, None] = {}
    for log in directory.glob(f"{LOG_FILE}*"):  # a process that Java starts for it has one of its own
        lines = (line.partition(" source: ") for line in log.read_text().splitlines())
        names |= {name: None for name, is_class, _ in lines if is_class}
        log.unlink()
    named = (name for name in names if "/" not in name and "$Proxy" not in name)
    (directory / CLASSES_FILE).write_text("".join(f"{name}\n" for name in named))


def _run(command: Sequence[str], variables: Mapping[str, str]) -> str:
    root = str(Path(__file__).parents[3])
    try:
        done = subprocess.run(
            command,
            env={**variables, "PYTHONPATH": root},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=MADE_WITHIN_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotArchive(f"it took more than {MADE_WITHIN_SECONDS} s") from error
    return done.stdout
