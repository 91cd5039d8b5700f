"""Layers: archives that functions share, published in numbered versions that never change.

`tests/contract/test_layer_store.py` holds every implementation to this.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from broker.registry.model import Policy


class LayerVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of a layer. Its archive lies in the code store."""

    name: str
    version: int
    """From 1 up; 0 while it is not published."""
    code_sha256: str
    """Base64 of the SHA-256 of the zip, as the API shows it."""
    code_size: int
    """Zipped bytes."""
    unzipped_bytes: int
    created: str
    """`2026-11-23T09:30:00.000+0000`"""
    description: str = ""
    license_info: str = ""
    compatible_runtimes: tuple[str, ...] = ()
    compatible_architectures: tuple[str, ...] = ()
    policy: Policy | None = None
    """Who else may use it: the one member that changes."""

    @property
    def code_digest(self) -> str:
        """Hex form of `code_sha256`: the code store's key."""
        return base64.b64decode(self.code_sha256).hex()


PolicyChange = Callable[[Policy | None], Policy | None]
"""A pure step from one policy to the next; may raise, then nothing is stored; may be called again."""


class LayerStore(Protocol):
    """Versions of layers by name and number. All raise BrokerUnavailable."""

    async def start(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """Disconnect. Idempotent."""

    async def publish(self, layer: LayerVersion) -> LayerVersion:
        """Keep it under the next number of its name. Numbers go up and are never given again."""

    async def get(self, name: str, version: int) -> LayerVersion | None:
        """That version; None where it was never published, or deleted."""

    async def versions(self, name: str) -> Sequence[LayerVersion]:
        """All versions of a name, newest first."""

    async def latest(self) -> Sequence[LayerVersion]:
        """The newest version of every name that has one, by name."""

    async def change_policy(self, name: str, version: int, change: PolicyChange) -> LayerVersion | None:
        """Apply `change` to the current policy of that version and store it; None where there is no such
        version. Concurrent changes are applied one after the other. Raises whatever `change` raises."""

    async def delete(self, name: str, version: int) -> None:
        """Forget it; one that is not there is fine."""
