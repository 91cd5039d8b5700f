"""What an ImageUri may name: an image on the gateway's own disk, where its operator lets images come from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from broker.container_image.errors import ImageRefused

Kind = Literal["oci", "docker-archive", "dir"]

POSSIBLE = (
    "oci:PATH[:TAG] or oci:PATH@sha256:DIGEST (an OCI image layout, a directory or a tar of one),"
    " docker-archive:PATH[:NAME:TAG] (what `docker save` writes) or dir:PATH (a root file system)"
)

_URI = re.compile(r"(oci|docker-archive|dir):(/[^:@]*)(?::([^@]+)|@sha256:([0-9a-f]{64}))?")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """`path` is real, and below `directory`. `name` is the tag (empty: not given), `digest` hexadecimal."""

    kind: Kind
    path: Path
    directory: Path
    name: str = ""
    digest: str = ""


def parse(uri: str, directories: Sequence[Path]) -> ImageReference:
    """Raises ImageRefused, saying what is possible."""
    if not directories:
        raise ImageRefused(
            "this gateway takes no container images: its operator has to start it with --image-directory DIR,"
            f" and then ImageUri may be {POSSIBLE}"
        )
    match = _URI.fullmatch(uri)
    if match is None or (match[1] == "dir" and match[3]) or (match[1] != "oci" and match[4]):
        where = ", ".join(str(directory) for directory in directories)
        raise ImageRefused(
            f"images cannot be pulled from a registry here; possible are {POSSIBLE}, below {where}"
        )
    kind: Kind = match[1]  # type: ignore[assignment]
    path, directory = _bounded(Path(match[2]), directories)
    return ImageReference(kind, path, directory, match[3] or "", match[4] or "")


def _bounded(path: Path, directories: Sequence[Path]) -> tuple[Path, Path]:
    try:
        real = path.resolve()
        for directory in directories:
            if real.is_relative_to(directory.resolve()):
                if not real.exists():
                    raise ImageRefused(f"there is no {path}")
                return real, directory.resolve()
    except (OSError, ValueError, RuntimeError) as error:  # too long, no permission; NUL; a loop of links
        raise ImageRefused(f"{str(path)[:200]!r} cannot be read: {error}") from error
    where = ", ".join(str(directory) for directory in directories)
    raise ImageRefused(f"{path} is not below a directory that images may come from: {where}")
