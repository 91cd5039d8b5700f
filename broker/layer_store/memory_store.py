"""The layer store in memory: the plainest reading of the contract."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from broker.layer_store.interface import LayerVersion, PolicyChange


class MemoryLayerStore:
    """Implements `LayerStore`; processes share it by sharing the object."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._versions: dict[str, dict[int, LayerVersion]] = {}

    async def start(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def publish(self, layer: LayerVersion) -> LayerVersion:
        number = self._numbers.get(layer.name, 0) + 1
        self._numbers[layer.name] = number
        published = replace(layer, version=number)
        self._versions.setdefault(layer.name, {})[number] = published
        return published

    async def get(self, name: str, version: int) -> LayerVersion | None:
        return self._versions.get(name, {}).get(version)

    async def versions(self, name: str) -> Sequence[LayerVersion]:
        return sorted(self._versions.get(name, {}).values(), key=lambda layer: -layer.version)

    async def latest(self) -> Sequence[LayerVersion]:
        found = [await self.versions(name) for name in sorted(self._versions)]
        return [versions[0] for versions in found if versions]

    async def change_policy(self, name: str, version: int, change: PolicyChange) -> LayerVersion | None:
        layer = await self.get(name, version)
        if layer is None:
            return None
        changed = replace(layer, policy=change(layer.policy))
        self._versions[name][version] = changed
        return changed

    async def delete(self, name: str, version: int) -> None:
        self._versions.get(name, {}).pop(version, None)
