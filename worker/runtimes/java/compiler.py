"""Compiles what of ours runs inside Java, once for each installation."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from worker.runtimes.java.java_homes import JavaHome

SOURCES = Path(__file__).with_name("sources")
OLDEST_MAJOR = 17
"""The oldest Java that our classes run on."""
SAME_TIME = (2025, 1, 1, 0, 0, 0)


PREFIX = "lightswitch-"
TRAINING_CLASS = "lightswitch/Training.class"
"""Lies where a function's classes lie: in a directory, not in a jar."""


class CannotCompile(Exception):
    """There is no compiler, or it has failed."""


def jar_name() -> str:
    """Of the jar of our classes; other sources have another name, so that an old installation is known."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*.java")):
        digest.update(path.read_bytes())
    return f"{PREFIX}{digest.hexdigest()[:12]}.jar"


def compile_sources(homes: Sequence[JavaHome], libraries: Path, training: Path) -> None:
    """Compile `sources` with the first compiler of `homes`; the jar goes to the client's, in `libraries`, the
    function that is run for training to a directory. Raises CannotCompile."""
    compilers = [home.compiler for home in homes if home.major >= OLDEST_MAJOR and home.compiler.is_file()]
    if not compilers:
        raise CannotCompile(f"no javac of Java {OLDEST_MAJOR} or later was found: install a JDK")
    with tempfile.TemporaryDirectory(prefix="lightswitch-java-") as name:
        classes = Path(name)
        files = [str(path) for path in sorted(SOURCES.rglob("*.java"))]
        options = ["--release", str(OLDEST_MAJOR), "-proc:none", "-cp", f"{libraries}/*", "-d", str(classes)]
        command = [str(compilers[0]), *options, *files]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise CannotCompile(done.stderr[-2000:])
        (training / TRAINING_CLASS).parent.mkdir(parents=True, exist_ok=True)
        (classes / TRAINING_CLASS).rename(training / TRAINING_CLASS)
        _pack(classes, libraries / jar_name())


def _pack(classes: Path, jar: Path) -> None:
    with zipfile.ZipFile(jar, "w") as archive:
        for path in sorted(classes.rglob("*.class")):
            entry = zipfile.ZipInfo(str(path.relative_to(classes)), SAME_TIME)
            archive.writestr(entry, path.read_bytes())
