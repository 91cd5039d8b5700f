"""The schedule store in Redis. P is the store's prefix:

    P:look        zset  schedule id by when to look at it: its tick, or the end of a claim
    P:ticks       hash  schedule id -> its first tick that has not fired
    P:generations hash  schedule id -> generation of its trigger

Every change is one script. Ten thousand schedules that wait cost nothing: a look reads one entry of the set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from broker.redis_client import redis_client, translated
from broker.schedule_store.interface import Look, Registration, Tick

_CONNECTIONS = 4

_SET = """
local P = KEYS[1]
local function set(id, next_ms)
  if next_ms == '' then
    redis.call('HDEL', P .. ':ticks', id)
    redis.call('ZREM', P .. ':look', id)
  else
    redis.call('HSET', P .. ':ticks', id, next_ms)
    redis.call('ZADD', P .. ':look', next_ms, id)
  end
end
"""

_REGISTER = f"""{_SET}
-- ARGV: id, generation, next ms or '', ...
for i = 1, #ARGV, 3 do
  if tonumber(redis.call('HGET', P .. ':generations', ARGV[i]) or -1) < tonumber(ARGV[i + 1]) then
    redis.call('HSET', P .. ':generations', ARGV[i], ARGV[i + 1])
    set(ARGV[i], ARGV[i + 2])
  end
end
"""

_FORGET = f"""{_SET}
-- ARGV: id, generation, ...
for i = 1, #ARGV, 2 do
  local generation = redis.call('HGET', P .. ':generations', ARGV[i])
  if generation and tonumber(generation) <= tonumber(ARGV[i + 1]) then
    redis.call('HDEL', P .. ':generations', ARGV[i])
    set(ARGV[i], '')
  end
end
"""

_CLAIM = """
-- ARGV: now ms, claim ms, most. Answers when to look next ('' for never), then id and tick of each.
local P, answer = KEYS[1], {''}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. ':look', '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
  redis.call('ZADD', P .. ':look', ARGV[1] + ARGV[2], id)
  answer[#answer + 1] = id
  answer[#answer + 1] = redis.call('HGET', P .. ':ticks', id)
end
answer[1] = redis.call('ZRANGE', P .. ':look', 0, 0, 'WITHSCORES')[2] or ''
return answer
"""

_ADVANCE = f"""{_SET}
-- ARGV: id, tick ms, next ms or '', ...
for i = 1, #ARGV, 3 do
  if redis.call('HGET', P .. ':ticks', ARGV[i]) == ARGV[i + 1] then set(ARGV[i], ARGV[i + 2]) end
end
"""


class RedisScheduleStore:
    """Implements `ScheduleStore` on Redis at `url`, under keys that start with `namespace`."""

    def __init__(self, url: str, namespace: str = "lightswitch") -> None:
        self._client = redis_client(url, _CONNECTIONS)
        self._prefix = f"{namespace}:schedules"
        self._register = self._client.register_script(_REGISTER)
        self._forget = self._client.register_script(_FORGET)
        self._claim = self._client.register_script(_CLAIM)
        self._advance = self._client.register_script(_ADVANCE)

    async def start(self) -> None:
        with translated("start the schedule store"):
            await self._client.ping()

    async def close(self) -> None:
        await self._client.aclose()

    async def register(self, registrations: Sequence[Registration]) -> None:
        arguments: list[str | int] = []
        for one in registrations:
            arguments += [one.schedule_id, one.generation, "" if one.next_ms is None else one.next_ms]
        if arguments:
            with translated("register schedules"):
                await self._register(keys=[self._prefix], args=arguments)

    async def forget(self, generations: Mapping[str, int]) -> None:
        arguments = [part for pair in generations.items() for part in pair]
        if arguments:
            with translated("forget schedules"):
                await self._forget(keys=[self._prefix], args=arguments)

    async def registered(self) -> Mapping[str, int]:
        with translated("read the registered schedules"):
            found: dict[Any, Any] = await self._client.hgetall(f"{self._prefix}:generations")
        return {id_.decode(): int(generation) for id_, generation in found.items()}

    async def claim(self, now_ms: int, claim_ms: int, most: int) -> Look:
        with translated("claim schedules that are due"):
            next_ms, *rows = await self._claim(keys=[self._prefix], args=[now_ms, claim_ms, most])
        pairs = zip(rows[::2], rows[1::2], strict=True)
        claimed = tuple(Tick(id_.decode(), int(tick)) for id_, tick in pairs)
        return Look(claimed, int(float(next_ms)) if next_ms else None)

    async def advance(self, ticks: Mapping[Tick, int | None]) -> None:
        arguments: list[str | int] = []
        for tick, next_ms in ticks.items():
            arguments += [tick.schedule_id, tick.tick_ms, "" if next_ms is None else next_ms]
        if arguments:
            with translated("advance schedules"):
                await self._advance(keys=[self._prefix], args=arguments)
