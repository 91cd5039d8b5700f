"""Takes container images in: found, checked to the last byte, and kept in the code store for every worker."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Protocol

from broker.container_image.errors import ImageRefused
from broker.container_image.layer_archive import Budget, Reader, entries, uncompressed
from broker.implied_directories import ImpliedDirectories
from broker.registry.model import Image
from gateway.container_images.docker_archive import find_in_archive
from gateway.container_images.found_image import FoundImage, LayerSource, check_run
from gateway.container_images.image_files import digest_of, opened
from gateway.container_images.image_uri import ImageReference, parse
from gateway.container_images.oci_layout import find_in_layout
from gateway.container_images.plain_directory import find_directory


class LayerStore(Protocol):
    """Where layers are kept; `broker.code_store` is the real one."""

    async def put_layer(self, digest: str, layer: IO[bytes]) -> None: ...


class ImageIntake:
    """Images come from below `directories`; `scratch` is a directory for temporary files."""

    def __init__(self, store: LayerStore, directories: Sequence[Path], scratch: Path) -> None:
        self._store = store
        self._directories = directories
        self._scratch = scratch

    async def take(self, uri: str, architecture: str, *, keep: bool = True) -> Image:
        """The image that `uri` names, for an architecture (Lambda's name). Its layers are in the code store
        afterwards, unless `keep` is False. Raises ImageRefused, CodeStoreUnavailable."""
        with ExitStack() as stack:
            reference = parse(uri, self._directories)
            found = await asyncio.to_thread(self._checked, stack, reference, architecture)
            if keep:
                for layer in found.layers:
                    with layer.open() as file:
                        await self._store.put_layer(layer.digest, file)
        return _described(uri, reference, found)

    def _checked(self, stack: ExitStack, reference: ImageReference, architecture: str) -> FoundImage:
        try:
            found = stack.enter_context(self._found(reference, architecture))
            check_run(found.settings.run)
            check_layers(found.layers, Budget())
        except OSError as error:
            raise ImageRefused(f"{reference.path} cannot be read: {error}") from error
        return found

    @contextmanager
    def _found(self, reference: ImageReference, architecture: str) -> Iterator[FoundImage]:
        if reference.kind == "dir":
            with tempfile.TemporaryDirectory(prefix="image-", dir=self._scratch) as directory:
                yield find_directory(reference.path, Path(directory) / "layer.tar")
            return
        find = find_in_layout if reference.kind == "oci" else find_in_archive
        with opened(reference.path, reference.directory) as files:
            yield find(files, reference, architecture)


def check_layers(layers: Sequence[LayerSource], budget: Budget) -> None:
    """Read every layer to its end. Raises ImageRefused where one is not what its digests say, is no sound
    archive, or where all together are too large."""
    for layer in layers:
        with layer.open() as file:
            actual = digest_of(file)
            if actual != layer.digest:
                raise ImageRefused(f"layer sha256:{layer.digest} is damaged: its digest is sha256:{actual}")
            file.seek(0)
            tar = _Hashed(uncompressed(file))
            _check_entries(tar, budget)
        if layer.tar_digest and tar.digest != layer.tar_digest:
            raise ImageRefused(
                f"layer sha256:{layer.digest} holds another archive (sha256:{tar.digest}) than the image's"
                f" configuration names (sha256:{layer.tar_digest})"
            )


def _check_entries(tar: Reader, budget: Budget) -> None:
    directories = ImpliedDirectories(budget.count_entry)
    for entry in entries(tar, budget):
        if entry.kind not in ("whiteout", "opaque"):
            directories.enter(entry.parts, is_directory=entry.kind == "directory")


class _Hashed:
    """Bytes on their way, counted into a digest."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def read(self, size: int, /) -> bytes:
        piece = self._source.read(size)
        self._digest.update(piece)
        return piece


def _described(uri: str, reference: ImageReference, found: FoundImage) -> Image:
    run = found.settings.run
    return Image(
        uri=uri,
        resolved_uri=f"{reference.kind}:{reference.path}@sha256:{found.digest}",
        digest=found.digest,
        layers=tuple(layer.digest for layer in found.layers),
        entry_point=tuple(run.entrypoint or ()),
        command=tuple(run.cmd or ()),
        working_directory=run.working_dir,
        environment=dict(pair.split("=", 1) for pair in run.env or () if pair.find("=") > 0),
    )
