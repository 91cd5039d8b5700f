"""A root file system in a directory, as an image of one layer that says nothing about how it is run."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

from broker.container_image.errors import ImageRefused
from broker.container_image.layer_archive import MOST_IMAGE_BYTES
from gateway.container_images.docker_archive import manifest_digest
from gateway.container_images.found_image import FoundImage, ImageSettings, LayerSource
from gateway.container_images.image_files import digest_of


def find_directory(directory: Path, archive: Path) -> FoundImage:
    """The directory's files, collected in the new file `archive`. Raises ImageRefused, OSError."""
    if not directory.is_dir():
        raise ImageRefused(f"{directory} is no directory")
    collected = 0

    def keep(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        nonlocal collected
        collected += member.size
        if collected > MOST_IMAGE_BYTES:
            raise ImageRefused(f"{directory} is larger than {MOST_IMAGE_BYTES} bytes")
        if not (member.isdir() or member.isfile() or member.islnk() or member.issym()):
            return None
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(os.listdir(directory)):
            tar.add(directory / name, name, filter=keep)
    with open(archive, "rb") as file:
        layer = LayerSource(digest_of(file), lambda: archive.open("rb"))
    return FoundImage(manifest_digest(b"", [layer]), ImageSettings(), [layer])
