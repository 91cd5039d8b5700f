"""Container images made by hand: layers, OCI image layouts, what `docker save` writes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker.container_image.layer_archive import Budget
from broker.container_image.root_filesystem import apply_layer

OCI = "application/vnd.oci.image"


@dataclass(frozen=True)
class Member:
    """A tar member: a file with `content` unless `kind` says otherwise."""

    name: str
    content: bytes = b""
    mode: int = 0o644
    kind: bytes = tarfile.REGTYPE
    target: str = ""

    def info(self) -> tarfile.TarInfo:
        info = tarfile.TarInfo(self.name)
        info.size, info.mode, info.type = len(self.content), self.mode, self.kind
        info.linkname, info.mtime = self.target, 1_700_000_000
        return info


def directory(name: str, mode: int = 0o755) -> Member:
    return Member(name, mode=mode, kind=tarfile.DIRTYPE)


def symlink(name: str, target: str) -> Member:
    return Member(name, kind=tarfile.SYMTYPE, target=target)


def hard_link(name: str, target: str) -> Member:
    return Member(name, kind=tarfile.LNKTYPE, target=target)


def layer(*members: Member) -> bytes:
    """An uncompressed layer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            archive.addfile(member.info(), io.BytesIO(member.content))
    return buffer.getvalue()


def applied(root: Path, *layers: bytes) -> Path:
    """The root file system that the layers make."""
    root.mkdir(exist_ok=True)
    budget = Budget()
    for each in layers:
        apply_layer(root, io.BytesIO(each), budget)
    return root


class LayoutBuilder:
    """An OCI image layout in a new directory; `add` one image after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "blobs" / "sha256").mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self._manifests: list[dict[str, Any]] = []

    def add(
        self,
        layers: Sequence[bytes],
        run: Mapping[str, Any] | None = None,
        *,
        tag: str = "",
        architecture: str = "amd64",
        compressed: bool = True,
    ) -> str:
        """Add an image that says `run` about itself; the SHA-256 of its manifest in hexadecimal."""
        kind = f"{OCI}.layer.v1.tar{'+gzip' if compressed else ''}"
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": dict(run or {}),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(each)}" for each in layers]},
        }
        stored = [gzip.compress(each, 1, mtime=0) if compressed else each for each in layers]
        manifest = {
            "schemaVersion": 2,
            "config": self._blob(json.dumps(config).encode(), f"{OCI}.config.v1+json"),
            "layers": [self._blob(each, kind) for each in stored],
        }
        described = self._blob(json.dumps(manifest).encode(), f"{OCI}.manifest.v1+json")
        annotations = {"annotations": {"org.opencontainers.image.ref.name": tag}} if tag else {}
        self._manifests.append({**described, **annotations})
        self._write_index()
        digest: str = described["digest"].removeprefix("sha256:")
        return digest

    def nest(self, tag: str, architectures: Sequence[str]) -> None:
        """Put all images so far, which are for `architectures`, behind one index named `tag`."""
        inner = [
            {**each, "platform": {"os": "linux", "architecture": architecture}}
            for each, architecture in zip(self._manifests, architectures, strict=True)
        ]
        kind = f"{OCI}.index.v1+json"
        described = self._blob(json.dumps({"schemaVersion": 2, "manifests": inner}).encode(), kind)
        self._manifests = [{**described, "annotations": {"org.opencontainers.image.ref.name": tag}}]
        self._write_index()

    def blob(self, digest: str) -> Path:
        return self.path / "blobs" / "sha256" / digest

    def _write_index(self) -> None:
        (self.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self._manifests}))

    def _blob(self, content: bytes, kind: str) -> dict[str, Any]:
        digest = _digest(content)
        self.blob(digest).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}


def packed(directory: Path, archive: Path) -> Path:
    """A tar archive of a directory's files."""
    with tarfile.open(archive, "w") as tar:
        for path in sorted(directory.iterdir()):
            tar.add(path, path.name)
    return archive


def saved(archive: Path, name: str, layers: Sequence[bytes], run: Mapping[str, Any]) -> Path:
    """What `docker save` writes for one image."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": dict(run),
        "rootfs": {"diff_ids": [f"sha256:{_digest(each)}" for each in layers]},
    }
    files = {"config.json": json.dumps(config).encode()}
    files |= {f"{_digest(each)}/layer.tar": each for each in layers}
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": list(files)[1:]}]
    files["manifest.json"] = json.dumps(manifest).encode()
    archive.write_bytes(layer(*(Member(path, content) for path, content in files.items())))
    return archive


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
