"""The entries of one image layer, a tar archive of strangers: read in order, every size bounded.

Sizes are counted while reading, never believed. Only what a function's root file system can need comes
out: directories, files, links and whiteouts. Device nodes, pipes and sockets are left out: /dev is the
sandbox's.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Literal, Protocol

from broker.container_image.errors import ImageRefused
from broker.implied_directories import MOST_DEPTH

MOST_IMAGE_BYTES = 10 << 30
"""AWS's limit for all layers together, uncompressed."""
MOST_ENTRIES = 1_000_000
"""Of all layers together; images of whole desktops have some 300,000."""
KEPT_MODE = 0o755
"""Functions see images read-only, and no other user of the machine shall change what they see."""
MOST_PATH_BYTES = 4096
MOST_NAME_BYTES = 255

_MOST_HEADER_BYTES = 1 << 20
"""Extended headers hold long names and attributes; tarfile reads each of them in one piece."""
_LAST_SECOND = 1 << 33
"""Later (or before 1970, or no number) is no time that every file system can keep."""
_CHUNK_BYTES = 256 * 1024
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_STUMBLES = (tarfile.TarError, zlib.error, EOFError, OSError, RecursionError, ValueError, OverflowError)

Kind = Literal["directory", "file", "symlink", "hardlink", "whiteout", "opaque"]


class Reader(Protocol):
    """Bytes in order."""

    def read(self, size: int, /) -> bytes: ...


class Budget:
    """Counts what all layers of one image come to."""

    def __init__(self, most_bytes: int = MOST_IMAGE_BYTES, most_entries: int = MOST_ENTRIES) -> None:
        self._most_bytes = most_bytes
        self._most_entries = most_entries
        self.bytes = 0
        self.entries = 0

    def spend(self, count: int) -> None:
        """Raises ImageRefused where the image is too large."""
        self.bytes += count
        if self.bytes > self._most_bytes:
            raise ImageRefused(f"the image is larger than {self._most_bytes} bytes uncompressed")

    def count_entry(self) -> None:
        """Raises ImageRefused where there are too many."""
        self.entries += 1
        if self.entries > self._most_entries:
            raise ImageRefused(f"the image has more than {self._most_entries} files")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `parts` is its path below the root (empty: the root itself); for a whiteout the path that
    goes, for an opaque one the directory whose earlier content goes. `target` is a link's, as it is written:
    for a hard link a path below the root. `contents` must be read before the next entry is asked for."""

    kind: Kind
    parts: tuple[str, ...]
    mode: int = 0
    modified_seconds: float = 0.0
    target: str = ""
    contents: Iterable[bytes] = ()


def uncompressed(layer: IO[bytes]) -> Reader:
    """The tar of a layer that may be compressed with gzip. Raises ImageRefused for other compressions."""
    magic = layer.read(4)
    layer.seek(0)
    if magic[:2] == _GZIP:
        return gzip.GzipFile(fileobj=layer)
    if magic == _ZSTD:
        raise ImageRefused(
            "a layer is compressed with zstd; build the image with gzip or without compression"
        )
    return layer


def entries(tar: Reader, budget: Budget) -> Iterator[Entry]:
    """All entries in order. Raises ImageRefused."""
    source = _Forward(tar, budget)
    try:
        with tarfile.TarFile(fileobj=source, mode="r", errorlevel=1) as archive:  # type: ignore[arg-type]
            while (info := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]
                budget.count_entry()
                entry = _entry(archive, info)
                if entry is not None:
                    yield entry
        source.drain()
    except ImageRefused:
        raise
    except _STUMBLES as error:
        raise ImageRefused(f"a layer is no sound tar archive: {error}") from error


class _Forward:
    """A file for tarfile that only goes forward and never gives a header of unreasonable size."""

    def __init__(self, source: Reader, budget: Budget) -> None:
        self._source = source
        self._budget = budget
        self._position = 0

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        if position < self._position:
            raise tarfile.StreamError("goes backwards")
        while self._position < position:
            if not self._take(min(_CHUNK_BYTES, position - self._position)):
                break
        return self._position

    def read(self, size: int) -> bytes:
        if size > _MOST_HEADER_BYTES:
            raise ImageRefused(f"a layer has a header of {size} bytes")
        pieces = []
        while size > 0 and (piece := self._take(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def drain(self) -> None:
        """Read what comes after the last entry, so that the whole archive has been seen."""
        while self._take(_CHUNK_BYTES):
            pass

    def _take(self, size: int) -> bytes:
        piece = self._source.read(size)
        self._position += len(piece)
        self._budget.spend(len(piece))
        return piece


def _entry(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Entry | None:
    parts = path_parts(info.name)
    mode = info.mode & KEPT_MODE
    modified = float(info.mtime) if 0 <= info.mtime < _LAST_SECOND else 0.0
    if parts and parts[-1].startswith(_WHITEOUT):
        return _whiteout(parts)
    if info.isdir():
        return Entry("directory", parts, mode, modified)
    if info.issym():
        return Entry("symlink", parts, target=_link(info.linkname))
    if info.islnk():
        return Entry("hardlink", parts, target=_link(info.linkname))
    if info.issparse():
        raise ImageRefused(f"a layer has a sparse file, {info.name[:100]!r}")
    if info.isfile():
        return Entry("file", parts, mode, modified, contents=_contents(archive, info))
    return None


def _whiteout(parts: tuple[str, ...]) -> Entry | None:
    *above, name = parts
    if name == _OPAQUE:
        return Entry("opaque", tuple(above))
    if name.startswith(_WHITEOUT * 2):
        return None  # notes of the file system that the layer was made on
    gone = name.removeprefix(_WHITEOUT)
    if gone in ("", ".", ".."):
        raise ImageRefused(f"a layer removes {name!r}, which is no name")
    return Entry("whiteout", (*above, gone))


def path_parts(name: str) -> tuple[str, ...]:
    """The parts of a path below the root. Raises ImageRefused where it points elsewhere."""
    # By hand: pathlib takes two slashes at the beginning for a root of its own kind, "//".
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if "\0" in name or ".." in parts:
        raise ImageRefused(f"a layer has an entry outside of the image: {name[:100]!r}")
    sizes = [len(part.encode("utf-8", "surrogateescape")) for part in parts]
    if sum(sizes) + len(sizes) > MOST_PATH_BYTES or max(sizes, default=0) > MOST_NAME_BYTES:
        raise ImageRefused(f"a layer has an entry with too long a name: {name[:100]!r}")
    if len(parts) > MOST_DEPTH:
        raise too_deep()
    return parts


def too_deep() -> ImageRefused:
    """What to raise for a path of more than MOST_DEPTH parts."""
    return ImageRefused(f"a layer has directories more than {MOST_DEPTH} deep")


def _link(target: str) -> str:
    if not target or "\0" in target or len(target.encode("utf-8", "surrogateescape")) >= MOST_PATH_BYTES:
        raise ImageRefused(f"a layer has a link to {target[:100]!r}, which is no path")
    return target


def _contents(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[bytes]:
    try:
        file = archive.extractfile(info)
        assert file is not None
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
    except _STUMBLES as error:
        raise ImageRefused(f"a layer breaks off in {info.name[:100]!r}: {error}") from error
