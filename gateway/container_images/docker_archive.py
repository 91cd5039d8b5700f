"""Images as `docker save` writes them: a tar archive with a manifest.json."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from broker.container_image.errors import ImageRefused
from gateway.container_images.found_image import (
    FoundImage,
    ImageSettings,
    LayerSource,
    check_platform,
    tar_digests,
)
from gateway.container_images.image_files import ImageFiles, digest_of, document, parsed, read_small
from gateway.container_images.image_uri import ImageReference


class SavedImage(msgspec.Struct, frozen=True, rename="pascal"):
    config: str
    layers: list[str]
    repo_tags: list[str] | None = None


def find_in_archive(files: ImageFiles, reference: ImageReference, architecture: str) -> FoundImage:
    """The image of that name (`repository:tag`), or the only one. Raises ImageRefused."""
    saved = _named(document(files, "manifest.json", list[SavedImage]), reference.name)
    text = read_small(files, saved.config)
    settings = parsed(saved.config, text, ImageSettings)
    check_platform(settings, architecture)
    tars = tar_digests(settings, len(saved.layers))
    layers = [_layer(files, name, tar) for name, tar in zip(saved.layers, tars, strict=True)]
    return FoundImage(manifest_digest(text, layers), settings, layers)


def manifest_digest(config: bytes, layers: Sequence[LayerSource]) -> str:
    """What identifies an image that came without a manifest: its configuration's and its layers' digests."""
    digests = [hashlib.sha256(config).hexdigest(), *(layer.digest for layer in layers)]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _named(saved: Sequence[SavedImage], name: str) -> SavedImage:
    found = [each for each in saved if not name or name in (each.repo_tags or ())]
    if len(found) == 1:
        return found[0]
    names = ", ".join(tag for each in saved for tag in each.repo_tags or ()) or "no names"
    wanted = f"an image named {name}" if name else "just one image; say which"
    raise ImageRefused(f"the archive does not have {wanted}; it has: {names}")


def _layer(files: ImageFiles, name: str, tar_digest: str) -> LayerSource:
    with files.open(name) as file:
        digest = digest_of(file)
    return LayerSource(digest, lambda: files.open(name), tar_digest)
