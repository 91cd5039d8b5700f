"""Images in an OCI image layout: https://github.com/opencontainers/image-spec, version 1."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import msgspec

from broker.container_image.errors import ImageRefused
from gateway.container_images.found_image import (
    ARCHITECTURES,
    FoundImage,
    ImageSettings,
    LayerSource,
    check_platform,
    tar_digests,
)
from gateway.container_images.image_files import ImageFiles, document, parsed, read_small
from gateway.container_images.image_uri import ImageReference

REFERENCE_NAME = "org.opencontainers.image.ref.name"
MOST_NESTED_INDEXES = 4
MOST_LAYERS = 1000

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class Platform(msgspec.Struct, frozen=True):
    architecture: str = ""
    os: str = ""


class Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    digest: str
    media_type: str = ""
    platform: Platform | None = None
    annotations: dict[str, str] | None = None

    @property
    def name(self) -> str:
        return (self.annotations or {}).get(REFERENCE_NAME, "")

    @property
    def is_index(self) -> bool:
        return self.media_type.endswith((".image.index.v1+json", ".manifest.list.v2+json"))


class Index(msgspec.Struct, frozen=True):
    manifests: list[Descriptor]


class Manifest(msgspec.Struct, frozen=True):
    config: Descriptor
    layers: list[Descriptor]


class Layout(msgspec.Struct, frozen=True, rename="camel"):
    image_layout_version: str


def find_in_layout(files: ImageFiles, reference: ImageReference, architecture: str) -> FoundImage:
    """The image that the reference names, for an architecture (Lambda's name). Raises ImageRefused."""
    layout = document(files, "oci-layout", Layout)
    if not layout.image_layout_version.startswith("1."):
        raise ImageRefused(f"the layout has version {layout.image_layout_version}; known is version 1")
    descriptor = _named(document(files, "index.json", Index).manifests, reference)
    for _ in range(MOST_NESTED_INDEXES):
        if not descriptor.is_index:
            return _image(files, descriptor, architecture)
        inner = parsed(descriptor.digest, _verified(files, descriptor), Index)
        descriptor = _for_platform(inner.manifests, architecture)
    raise ImageRefused(f"the layout nests more than {MOST_NESTED_INDEXES} indexes")


def _named(manifests: Sequence[Descriptor], reference: ImageReference) -> Descriptor:
    """The one that is meant by digest or tag; the only one where nothing is said."""
    if reference.digest:
        found = [each for each in manifests if each.digest == f"sha256:{reference.digest}"]
        # One that is not listed itself may be an index's: its digest alone finds it.
        return found[0] if found else Descriptor(f"sha256:{reference.digest}")
    found = [each for each in manifests if reference.name in ("", each.name)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted({each.name or each.digest for each in manifests})) or "none"
    wanted = f"an image tagged {reference.name}" if reference.name else "just one image; say which"
    raise ImageRefused(f"the layout does not have {wanted}; it has: {names}")


def _for_platform(manifests: Sequence[Descriptor], architecture: str) -> Descriptor:
    wanted = Platform(ARCHITECTURES[architecture], "linux")
    for each in manifests:
        if each.platform is not None and Platform(each.platform.architecture, each.platform.os) == wanted:
            return each
    there = [f"{each.platform.os}/{each.platform.architecture}" for each in manifests if each.platform]
    raise ImageRefused(f"the index has no image for linux/{wanted.architecture}; it has: {', '.join(there)}")


def _image(files: ImageFiles, descriptor: Descriptor, architecture: str) -> FoundImage:
    manifest = parsed(descriptor.digest, _verified(files, descriptor), Manifest)
    settings = parsed(manifest.config.digest, _verified(files, manifest.config), ImageSettings)
    check_platform(settings, architecture)
    if len(manifest.layers) > MOST_LAYERS:
        raise ImageRefused(f"the image has more than {MOST_LAYERS} layers")
    tars = tar_digests(settings, len(manifest.layers))
    layers = [_layer(files, layer, tar) for layer, tar in zip(manifest.layers, tars, strict=True)]
    return FoundImage(_hexadecimal(descriptor), settings, layers)


def _layer(files: ImageFiles, descriptor: Descriptor, tar_digest: str) -> LayerSource:
    name = _blob(descriptor)
    return LayerSource(_hexadecimal(descriptor), lambda: files.open(name), tar_digest)


def _verified(files: ImageFiles, descriptor: Descriptor) -> bytes:
    text = read_small(files, _blob(descriptor))
    actual = hashlib.sha256(text).hexdigest()
    if actual != _hexadecimal(descriptor):
        raise ImageRefused(f"blob {descriptor.digest} is damaged: its digest is sha256:{actual}")
    return text


def _blob(descriptor: Descriptor) -> str:
    return f"blobs/sha256/{_hexadecimal(descriptor)}"


def _hexadecimal(descriptor: Descriptor) -> str:
    match = _DIGEST.fullmatch(descriptor.digest)
    if match is None:
        raise ImageRefused(f"{descriptor.digest[:100]!r} is no SHA-256 digest")
    return match[1]
