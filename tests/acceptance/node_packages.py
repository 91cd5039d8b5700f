"""Packages from npm for functions: installed once, and kept in a cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.download_cache import filling_cache

SOURCES = Path(__file__).parent / "guests" / "node_packages"
NOT_DEPLOYED = (".map", ".d.ts", ".d.mts", ".d.cts", ".md")


def node_files(handler: str) -> Mapping[str, bytes]:
    """What a function with the guest `handler` is deployed with: it as app.js, and all packages.

    Skips the test where npm cannot get them.
    """
    installed = _installed(SOURCES / "package.json")
    files = {
        str(path.relative_to(installed)): path.read_bytes()
        for path in (installed / "node_modules").rglob("*")
        if path.is_file() and not path.is_symlink() and not path.name.endswith(NOT_DEPLOYED)
    }
    own = {
        name: (SOURCES / source).read_bytes() for name, source in (("package.json",) * 2, ("app.js", handler))
    }
    return {**files, **own}


def _installed(manifest: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()[:12]
    with filling_cache("npm") as cache:
        directory = cache / digest
        if not directory.is_dir():
            _install(npm, manifest, directory)
        return directory


def _install(npm: str, manifest: Path, directory: Path) -> None:
    unfinished = directory.with_name(f"unfinished-{directory.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    shutil.copy(manifest, unfinished)
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(unfinished)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"npm could not get the packages: {done.stderr[-500:]}")
    unfinished.rename(directory)
