"""The files that an image comes in: those of a directory, or the members of a tar archive."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, TypeVar

import msgspec

from broker.container_image.errors import ImageRefused

MOST_DOCUMENT_BYTES = 4 << 20
"""What registries take of a manifest."""
MOST_MEMBERS = 100_000
"""Of an archive that holds a layout: a few for each layer."""
_CHUNK_BYTES = 1 << 20

T = TypeVar("T")


class ImageFiles(Protocol):
    """Files by their path below the image's directory."""

    def open(self, name: str) -> IO[bytes]:
        """A seekable file. Raises ImageRefused where there is none."""


@contextmanager
def opened(path: Path, directory: Path) -> Iterator[ImageFiles]:
    """The files of a directory or a tar archive at `path`; links may lead nowhere but below `directory`.

    Raises ImageRefused.
    """
    if path.is_dir():
        yield _Directory(path, directory)
        return
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(tarfile.open(path, "r:"))
            files = _Archive(archive)
        except (OSError, tarfile.TarError, RecursionError) as error:
            raise ImageRefused(
                f"{path} is neither a directory nor an uncompressed tar archive: {error}"
            ) from error
        yield files


def document(files: ImageFiles, name: str, kind: type[T]) -> T:
    """A JSON document. Raises ImageRefused."""
    return parsed(name, read_small(files, name), kind)


def parsed(name: str, text: bytes, kind: type[T]) -> T:
    """Raises ImageRefused where `text` is no such document; `name` is for the message."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ImageRefused(f"{name} is not what it should be: {error}") from error


def read_small(files: ImageFiles, name: str) -> bytes:
    """A whole file of at most 4 MB. Raises ImageRefused."""
    with files.open(name) as file:
        text = file.read(MOST_DOCUMENT_BYTES + 1)
    if len(text) > MOST_DOCUMENT_BYTES:
        raise ImageRefused(f"{name} is larger than {MOST_DOCUMENT_BYTES} bytes")
    return text


def digest_of(file: IO[bytes]) -> str:
    """SHA-256 of a whole file in hexadecimal."""
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


class _Directory:
    def __init__(self, path: Path, bound: Path) -> None:
        self._path = path
        self._bound = bound

    def open(self, name: str) -> IO[bytes]:
        try:
            path = (self._path / name).resolve()
        except (OSError, ValueError, RuntimeError) as error:  # too long; NUL; a loop of links
            raise ImageRefused(f"{self._path} has no {name[:200]!r}: {error}") from error
        if not path.is_relative_to(self._bound):
            raise ImageRefused(f"{name} of {self._path} leads out of {self._bound}")
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise ImageRefused(f"{self._path} has no {name}: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ImageRefused(f"{name} of {self._path} is no file")
        return os.fdopen(descriptor, "rb")


class _Archive:
    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._members: dict[str, tarfile.TarInfo] = {}
        for member in archive:
            self._members[str(PurePosixPath(member.name))] = member
            if len(self._members) > MOST_MEMBERS:
                raise ImageRefused(f"the archive has more than {MOST_MEMBERS} members")

    def open(self, name: str) -> IO[bytes]:
        member = self._members.get(name)
        try:
            file = self._archive.extractfile(member) if member is not None else None
        except (tarfile.TarError, OSError, KeyError, RecursionError) as error:
            raise ImageRefused(f"the archive's {name} cannot be read: {error}") from error
        if file is None:
            raise ImageRefused(f"the archive has no {name}")
        return file
