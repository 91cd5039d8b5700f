"""Java functions for tests and benchmarks: built once, with what they need, and kept in a cache."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

from tests.acceptance.download_cache import filling_cache
from tests.maven import fetch
from tests.web_server import Unavailable
from worker.runtimes.java.java_homes import find_java_homes
from worker.runtimes.official.interface import CannotInstall
from worker.runtimes.official.table import install, installed

OLDEST_MAJOR = 17


class CannotBuild(Exception):
    """This machine lacks what it takes; the text says what."""


def add_java_runtime(runtime: str, data_dir: Path) -> str:
    """Install AWS's client for `runtime`, once in the cache, then for the system over `data_dir`.

    Why that is not possible here; empty where it is done, or was done before. In CI, what is there must work.
    """
    target = data_dir / "runtimes" / runtime
    if target.is_dir():
        return ""
    if missing := missing_tools():
        return missing
    with filling_cache("runtimes", "java") as cache, filling_cache("maven"):
        try:
            client = install(runtime, cache)
        except CannotInstall as error:
            if os.environ.get("CI"):
                raise
            return str(error)
        assert runtime in installed(cache)
    shutil.copytree(client, target, symlinks=True)
    return ""


def missing_tools() -> str:
    """Of what building Java functions takes; empty where nothing is missing."""
    if shutil.which("mvn") is None:
        return "no mvn on the PATH"
    if not any(home.compiler.is_file() and home.major >= OLDEST_MAJOR for home in find_java_homes()):
        return f"no JDK {OLDEST_MAJOR} or later"
    return ""


class JavaGuest:
    """A project: its classes by name, and the jars that it needs."""

    def __init__(self, classes: dict[str, bytes], jars: dict[str, bytes]) -> None:
        self.classes = classes
        self.jars = jars

    def package(self, without: str = "\0", **more: str) -> bytes:
        """A deployment package: classes at the root (but for those below `without`), jars in lib/.

        `more` are text files (`note=` is note.txt).
        """
        texts = {f"{name}.txt": text.encode() for name, text in more.items()}
        files = {name: code for name, code in self.classes.items() if not name.startswith(without)}
        return _zip({**files, **texts, **{f"lib/{name}": code for name, code in self.jars.items()}})

    def jar(self, below: str) -> bytes:
        """A jar of the classes below a directory."""
        return _zip({name: code for name, code in self.classes.items() if name.startswith(below)})


def build_guest(project: Path) -> JavaGuest:
    """`project` has pom.xml and src/. Raises CannotBuild; in CI only where tools are missing."""
    if missing := missing_tools():
        raise CannotBuild(missing)
    with filling_cache("java") as cache:
        directory = _built(project, cache / f"{project.name}-{_digest(project)}")
    classes = directory / "classes"
    return JavaGuest(
        {str(path.relative_to(classes)): path.read_bytes() for path in sorted(classes.rglob("*.class"))},
        {path.name: path.read_bytes() for path in sorted((directory / "lib").glob("*.jar"))},
    )


def _built(project: Path, directory: Path) -> Path:
    if not directory.is_dir():
        unfinished = directory.with_name(f"unfinished-{directory.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            fetch(project.name, (project / "pom.xml").read_text(), unfinished / "lib")
        except Unavailable as error:
            if os.environ.get("CI"):
                raise
            raise CannotBuild(str(error)) from error
        _compile(project, unfinished / "lib", unfinished / "classes")
        unfinished.rename(directory)
    return directory


def _compile(project: Path, libraries: Path, classes: Path) -> None:
    compilers = [home.compiler for home in find_java_homes() if home.compiler.is_file()]
    options = ["-parameters", "--release", str(OLDEST_MAJOR), "-proc:none", "-cp", f"{libraries}/*"]
    files = [str(path) for path in sorted((project / "src").rglob("*.java"))]
    subprocess.run([str(compilers[0]), *options, "-d", str(classes), *files], check=True)


def _digest(project: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(project.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            packing = zipfile.ZIP_STORED if name.endswith(".jar") else zipfile.ZIP_DEFLATED
            archive.writestr(name, content, packing)
    return buffer.getvalue()
