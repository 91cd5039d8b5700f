"""The provisioning store in Redis. P is the store's prefix:

P:workers         zset  worker -> epoch ms until which it is there
P:announcements   hash  worker -> announcement (msgpack)

Written with replication off, so that no announcement waits for the disk. What a rewrite of the append-only
file saved of them lapses by its time.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from broker.errors import BrokerError
from broker.provisioning.model import Announcement
from broker.redis_client import redis_client, translated

_CONNECTIONS = 2
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Announcement).decode

_ANNOUNCE = """
-- KEYS: P. ARGV: worker ('' for who only asks), ttl ms, announcement. Answers all that are there.
redis.set_repl(redis.REPL_NONE)
local workers, said = KEYS[1] .. ':workers', KEYS[1] .. ':announcements'
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[1] ~= '' then
  redis.call('ZADD', workers, now + ARGV[2], ARGV[1])
  redis.call('HSET', said, ARGV[1], ARGV[3])
end
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', workers, '-inf', now)) do
  redis.call('ZREM', workers, worker)
  redis.call('HDEL', said, worker)
end
return redis.call('HVALS', said)
"""

_WITHDRAW = """
-- KEYS: P. ARGV: worker
redis.set_repl(redis.REPL_NONE)
redis.call('ZREM', KEYS[1] .. ':workers', ARGV[1])
redis.call('HDEL', KEYS[1] .. ':announcements', ARGV[1])
"""


class RedisProvisioningStore:
    """Implements `ProvisioningStore` on Redis at `url`, under keys that start with `namespace`."""

    def __init__(self, url: str, namespace: str = "lightswitch") -> None:
        self._client = redis_client(url, _CONNECTIONS)
        self._prefix = f"{namespace}:provisioning"
        self._announce = self._client.register_script(_ANNOUNCE)
        self._withdraw = self._client.register_script(_WITHDRAW)

    async def start(self) -> None:
        with translated("start the provisioning store"):
            await self._client.ping()

    async def close(self) -> None:
        await self._client.aclose()

    async def announce(self, announcement: Announcement, ttl_ms: int) -> Sequence[Announcement]:
        return await self._said(announcement.worker, ttl_ms, _encode(announcement))

    async def withdraw(self, worker: str) -> None:
        with translated("withdraw a worker's announcement"):
            await self._withdraw(keys=[self._prefix], args=[worker])

    async def announcements(self) -> Sequence[Announcement]:
        return await self._said("", 0, b"")

    async def _said(self, worker: str, ttl_ms: int, body: bytes) -> Sequence[Announcement]:
        with translated("read what workers hold"):
            bodies = await self._announce(keys=[self._prefix], args=[worker, ttl_ms, body])
        try:
            return [_decode(body) for body in bodies]
        except msgspec.MsgspecError as error:
            raise BrokerError(f"a worker's announcement cannot be read: {error}") from error
