"""Deployment packages come from strangers: every zip is taken for an attack until it is shown not to be.

`validate` runs before a package is stored, `unpack` where it is run. Both read every byte and believe no
header: sizes are counted while inflating, and nothing but plain files and directories is ever made.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from broker.implied_directories import MOST_DEPTH, ImpliedDirectories

MOST_ZIPPED_BYTES = 52_428_800
"""For a package that comes within a request."""
MOST_UNZIPPED_BYTES = 262_144_000
MOST_ENTRIES = 65_535
"""What a zip can hold without ZIP64, and of files and directories together that it may make; the largest
node_modules trees have some ten thousand files."""
MOST_INFLATION = 200
"""Code shrinks to a third or a tenth, logs to a fiftieth; deflate can reach 1032."""
FREELY_INFLATED_BYTES = 16 * 1024 * 1024
"""Up to this size any ratio is fine: it is nothing to be afraid of."""
MOST_PATH_BYTES = 2048
MOST_NAME_BYTES = 255

_CHUNK_BYTES = 256 * 1024
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_CENTRAL_HEADER = b"PK\x01\x02"
_CANNOT_UNZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."
_TOO_LARGE = f"Unzipped size must be smaller than {MOST_UNZIPPED_BYTES} bytes"

_STUMBLES = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    ArithmeticError,
    EOFError,
    LookupError,
    RuntimeError,
    ValueError,
)
"""What zipfile raises on damaged archives, besides what it documents."""


class InvalidPackage(Exception):
    """The zip is refused; the message is for the caller, in AWS's words where AWS has some."""


class PackageTooLarge(InvalidPackage):
    """It is refused for its size, zipped or unzipped."""


def validate(package: bytes, most_zipped_bytes: int = MOST_UNZIPPED_BYTES) -> None:
    """Read the whole package and raise InvalidPackage unless `unpack` would do; takes up to seconds."""
    if len(package) > most_zipped_bytes:
        raise PackageTooLarge(f"Zipped size must be smaller than {most_zipped_bytes} bytes")
    with _opened(package) as archive:
        budget = _Budget(len(package))
        for entry in _entries(archive):
            for chunk in _contents(archive, entry):
                budget.spend(len(chunk))


def unzipped_bytes(package: bytes) -> int:
    """Size of all files of a package that is valid. Raises InvalidPackage where it is none at all."""
    with _opened(package) as archive:
        return sum(info.file_size for info in archive.infolist())


def unpack(package: bytes, target: Path) -> None:
    """Make the new directory `target` with what the package holds, for everybody to read, nobody to write.

    Files are 0444, or 0555 where the package marks them executable; directories 0555. Raises
    InvalidPackage and OSError, and may then leave an unfinished directory.
    """
    target.mkdir(mode=0o700)
    directories = {target}
    with _opened(package) as archive:
        budget = _Budget(len(package))
        for entry in _entries(archive):
            path = target.joinpath(*entry.parts)
            _make_directories(path if entry.is_directory else path.parent, directories)
            if not entry.is_directory:
                _write(path, _contents(archive, entry), budget, executable=entry.executable)
    for directory in directories:
        directory.chmod(0o555)


@dataclass(frozen=True, slots=True)
class _Entry:
    info: zipfile.ZipInfo
    parts: tuple[str, ...]
    """Of its path below the package's root."""
    is_directory: bool

    @property
    def executable(self) -> bool:
        return bool(self.info.external_attr >> 16 & 0o111)


class _Budget:
    """Counts what was inflated against what may be."""

    def __init__(self, zipped_bytes: int) -> None:
        self._unzipped_bytes = 0
        self._most_bytes = max(FREELY_INFLATED_BYTES, zipped_bytes * MOST_INFLATION)

    def spend(self, count: int) -> None:
        self._unzipped_bytes += count
        if self._unzipped_bytes > MOST_UNZIPPED_BYTES:
            raise PackageTooLarge(_TOO_LARGE)
        if self._unzipped_bytes > self._most_bytes:
            raise InvalidPackage(
                f"{_CANNOT_UNZIP} (It inflates to more than {MOST_INFLATION} times its size.)"
            )


class _Count:
    """Of files and directories, those included that entries make on the way."""

    def __init__(self, entries: int) -> None:
        self._count = entries

    def one_more(self) -> None:
        self._count += 1
        if self._count > MOST_ENTRIES:
            raise InvalidPackage(
                f"{_CANNOT_UNZIP} (It makes more than {MOST_ENTRIES} files and directories.)"
            )


class _Source(io.BytesIO):
    """Gives up before zipfile makes objects of a directory with millions of entries.

    zipfile reads the central directory in one piece, and everything else in pieces too small to matter.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if data.count(_CENTRAL_HEADER) > MOST_ENTRIES:
            raise InvalidPackage(f"{_CANNOT_UNZIP} (It has more than {MOST_ENTRIES} entries.)")
        return data


@contextmanager
def _opened(package: bytes) -> Iterator[zipfile.ZipFile]:
    """The archive; whatever zipfile and zlib stumble over in it is an InvalidPackage."""
    if not package:
        raise InvalidPackage("Uploaded file must be a non-empty zip")
    try:
        with zipfile.ZipFile(_Source(package)) as archive:
            yield archive
    except _STUMBLES as error:
        raise InvalidPackage(_CANNOT_UNZIP) from error


def _entries(archive: zipfile.ZipFile) -> list[_Entry]:
    """All entries, each of them harmless and in nobody else's way. Raises InvalidPackage."""
    infos = archive.infolist()
    if not infos:
        raise InvalidPackage("Uploaded file must be a non-empty zip")
    if sum(info.file_size for info in infos) > MOST_UNZIPPED_BYTES:
        raise PackageTooLarge(_TOO_LARGE)
    entries = [_entry(info) for info in infos]
    _refuse_collisions(entries)
    return entries


def _entry(info: zipfile.ZipInfo) -> _Entry:
    is_directory = info.filename.endswith("/")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if is_directory else stat.S_IFREG):
        raise _refusal(info, "is a link or special file; only files and directories are accepted")
    if info.flag_bits & _ENCRYPTED:
        raise _refusal(info, "is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refusal(info, "is compressed by other means than deflate")
    return _Entry(info, _parts(info), is_directory)


def _parts(info: zipfile.ZipInfo) -> tuple[str, ...]:
    name = info.orig_filename
    if "\0" in name:
        raise _refusal(info, "has a NUL in its name")
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts:
        raise _refusal(info, "points outside of the package")
    sizes = [len(part.encode("utf-8", "surrogateescape")) for part in parts]
    if sum(sizes) + len(sizes) > MOST_PATH_BYTES or max(sizes, default=0) > MOST_NAME_BYTES:
        raise _refusal(info, "has too long a name")
    if len(parts) > MOST_DEPTH:
        raise _refusal(info, f"is more than {MOST_DEPTH} directories deep")
    return parts


def _refuse_collisions(entries: list[_Entry]) -> None:
    files: set[tuple[str, ...]] = set()
    directories = ImpliedDirectories(_Count(len(entries)).one_more)
    for entry in entries:
        directories.enter(entry.parts, is_directory=entry.is_directory)
        if not entry.is_directory:
            if entry.parts in files:
                raise _refusal(entry.info, "is there twice")
            files.add(entry.parts)
    for entry in entries:
        if not entry.is_directory and entry.parts in directories:
            raise _refusal(entry.info, "is there both as a file and as a directory")


def _refusal(info: zipfile.ZipInfo, what: str) -> InvalidPackage:
    return InvalidPackage(f"{_CANNOT_UNZIP} (Entry {info.orig_filename[:100]!r} {what}.)")


def _contents(archive: zipfile.ZipFile, entry: _Entry) -> Iterator[bytes]:
    """The entry's bytes in pieces, checked against its CRC at the end."""
    with archive.open(entry.info) as source:
        while chunk := source.read(_CHUNK_BYTES):
            yield chunk


def _make_directories(path: Path, made: set[Path]) -> None:
    if path not in made:
        _make_directories(path.parent, made)
        path.mkdir(mode=0o700)
        made.add(path)


def _write(path: Path, contents: Iterator[bytes], budget: _Budget, *, executable: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    with open(descriptor, "wb", buffering=0) as file:
        for chunk in contents:
            budget.spend(len(chunk))
            file.write(chunk)
        os.fchmod(descriptor, 0o555 if executable else 0o444)
