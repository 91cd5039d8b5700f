"""The layer store in Redis. P is the store's prefix:

P:numbers     hash  name -> number of the version published last
P:of:NAME     hash  number -> version as JSON
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from broker.layer_store.interface import LayerVersion, PolicyChange
from broker.redis_client import redis_client, translated

_CONNECTIONS = 4
_REPLACE = """
-- KEYS: hash of a layer's versions. ARGV: number, body as it was read, new body.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LayerVersion).decode


class RedisLayerStore:
    """Implements `LayerStore` on Redis at `url`, under keys that start with `namespace`.

    A publisher that dies between its two commands leaves a number unused, which harms nobody.
    """

    def __init__(self, url: str, namespace: str = "lightswitch") -> None:
        self._client = redis_client(url, _CONNECTIONS)
        self._prefix = f"{namespace}:layers"
        self._replace = self._client.register_script(_REPLACE)

    async def start(self) -> None:
        with translated("start the layer store"):
            await self._client.ping()

    async def close(self) -> None:
        await self._client.aclose()

    async def publish(self, layer: LayerVersion) -> LayerVersion:
        with translated(f"publish layer {layer.name}"):
            number: int = await self._client.hincrby(f"{self._prefix}:numbers", layer.name, 1)
            published = replace(layer, version=number)
            await self._client.hset(self._key(layer.name), str(number), _encode(published))
        return published

    async def get(self, name: str, version: int) -> LayerVersion | None:
        with translated(f"read layer {name}:{version}"):
            body: Any = await self._client.hget(self._key(name), str(version))
        return None if body is None else _decode(body)

    async def versions(self, name: str) -> Sequence[LayerVersion]:
        with translated(f"read the versions of layer {name}"):
            bodies: list[Any] = await self._client.hvals(self._key(name))
        return _newest_first(bodies)

    async def latest(self) -> Sequence[LayerVersion]:
        with translated("list layers"):
            names: list[Any] = await self._client.hkeys(f"{self._prefix}:numbers")
            pipeline = self._client.pipeline(transaction=False)
            for name in sorted(names):
                pipeline.hvals(self._key(name.decode()))
            found: list[Any] = await pipeline.execute()
        return [_newest_first(bodies)[0] for bodies in found if bodies]

    async def change_policy(self, name: str, version: int, change: PolicyChange) -> LayerVersion | None:
        with translated(f"change the policy of layer {name}:{version}"):
            while True:
                body: Any = await self._client.hget(self._key(name), str(version))
                if body is None:
                    return None
                layer = _decode(body)
                changed = replace(layer, policy=change(layer.policy))
                arguments = [str(version), body, _encode(changed)]
                if await self._replace(keys=[self._key(name)], args=arguments):
                    return changed

    async def delete(self, name: str, version: int) -> None:
        with translated(f"delete layer {name}:{version}"):
            await self._client.hdel(self._key(name), str(version))

    def _key(self, name: str) -> str:
        return f"{self._prefix}:of:{name}"


def _newest_first(bodies: Sequence[bytes]) -> list[LayerVersion]:
    return sorted((_decode(body) for body in bodies), key=lambda layer: -layer.version)
