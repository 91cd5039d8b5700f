"""A folder as a deployment package: the same files give the same zip, so that digests mean something."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from deploy.errors import DeployError

VERSION_CONTROL = frozenset({".git", ".hg", ".svn"})
LEFTOVERS = frozenset({"__pycache__", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".DS_Store"})
EXCLUDED_NAMES = VERSION_CONTROL | LEFTOVERS
EXCLUDED_SUFFIXES = frozenset({".pyc", ".pyo"})

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold."""

MAX_ZIP_BYTES = 52_428_800


def package(source: Path) -> bytes:
    """The zip of a folder, or a .zip file as it is. Raises DeployError where it cannot be deployed."""
    content = zip_folder(source) if source.is_dir() else _read_zip(source)
    if len(content) > MAX_ZIP_BYTES:
        raise DeployError(
            f"{source} makes a package of {len(content)} bytes, more than the {MAX_ZIP_BYTES} that can be "
            "uploaded directly; put it into S3 and create the function with S3Bucket and S3Key"
        )
    return content


def zip_folder(folder: Path) -> bytes:
    """Files by name, without times and owners; executables stay executable."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in _files(folder, seen=frozenset()):
            archive.writestr(_entry(path, path.relative_to(folder).as_posix()), path.read_bytes())
        if not archive.filelist:
            raise DeployError(f"{folder} holds no files to deploy")
    return buffer.getvalue()


def _entry(path: Path, name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
    entry.external_attr = (0o100000 | mode) << 16
    entry.create_system = 3  # Unix: the mode counts
    return entry


def _files(folder: Path, seen: frozenset[Path]) -> Iterator[Path]:
    """Files below a folder in order. Links are followed, since packages hold none; a loop is an error."""
    if folder.resolve() in seen:
        raise DeployError(f"{folder} is a link to a folder that holds it")
    for path in sorted(folder.iterdir()):
        if path.name in EXCLUDED_NAMES or path.suffix in EXCLUDED_SUFFIXES:
            continue
        if path.is_dir():
            yield from _files(path, seen | {folder.resolve()})
        elif path.is_file():
            yield path
        else:
            raise DeployError(f"{path} is no file (a broken link, a socket?) and cannot be deployed")


def _read_zip(source: Path) -> bytes:
    if not zipfile.is_zipfile(source):
        raise DeployError(f"{source} is neither a folder nor a zip file")
    return source.read_bytes()
