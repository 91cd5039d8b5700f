"""An image that was found, before any of its layers has been looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

import msgspec

from broker.container_image.errors import ImageRefused

MOST_RUN_BYTES = 64 << 10
"""What a process may be started with, besides the function's own variables."""

ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
"""Lambda's names and those of images."""


class RunSettings(msgspec.Struct, frozen=True, rename="pascal"):
    """What an image says about running it (`config` of OCI's image configuration)."""

    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    env: list[str] | None = None
    working_dir: str = ""


class RootFilesystem(msgspec.Struct, frozen=True):
    """The digests of the layers, uncompressed, lowest first."""

    diff_ids: list[str] = []


class ImageSettings(msgspec.Struct, frozen=True):
    """OCI's image configuration: what of it matters here."""

    architecture: str = ""
    os: str = "linux"
    config: RunSettings | None = None
    rootfs: RootFilesystem = RootFilesystem()

    @property
    def run(self) -> RunSettings:
        """Its settings, empty ones where it has none."""
        return self.config or RunSettings()


@dataclass(frozen=True, slots=True)
class LayerSource:
    """A layer as it lies in the image: SHA-256 in hexadecimal of its bytes as they are stored and, where the
    image tells it, of the tar in it."""

    digest: str
    open: Callable[[], IO[bytes]]
    tar_digest: str = ""


@dataclass(frozen=True, slots=True)
class FoundImage:
    """`digest` is its manifest's SHA-256 in hexadecimal."""

    digest: str
    settings: ImageSettings
    layers: Sequence[LayerSource]


def check_platform(settings: ImageSettings, architecture: str) -> None:
    """Raises ImageRefused where a function of that architecture (Lambda's name) cannot run the image."""
    if settings.os != "linux":
        raise ImageRefused(f"the image is for {settings.os}, not for linux")
    wanted = ARCHITECTURES[architecture]
    if settings.architecture and settings.architecture != wanted:
        raise ImageRefused(
            f"the image is for {settings.architecture}, but the function's architecture is {architecture}"
            f" ({wanted}); set Architectures, or give an image for {wanted}"
        )


def check_run(run: RunSettings) -> None:
    """Raises ImageRefused where no process could be started so."""
    said = [*(run.entrypoint or ()), *(run.cmd or ()), *(run.env or ()), run.working_dir]
    if any("\0" in each for each in said):
        raise ImageRefused("the image's Entrypoint, Cmd, Env or WorkingDir has a NUL character")
    size = sum(len(each.encode()) + 1 for each in said)
    if size > MOST_RUN_BYTES:
        raise ImageRefused(
            f"the image's Entrypoint, Cmd, Env and WorkingDir have {size} bytes, more than {MOST_RUN_BYTES}"
        )


def tar_digests(settings: ImageSettings, count: int) -> list[str]:
    """The tar digests of `count` layers in hexadecimal. Raises ImageRefused where the image has others."""
    found = settings.rootfs.diff_ids
    if len(found) != count:
        raise ImageRefused(f"the image has {count} layers, but its configuration names {len(found)}")
    return [each.removeprefix("sha256:") for each in found]
