"""Object states in Redis. P is the trigger store's prefix, ID a trigger's id.

    P:objects:ID:pages   hash   last key of a page -> packed page
    P:objects:ID:ends    zset   last keys of all pages, score 0, so that they sort
    P:objects:ID:notes   hash   key -> note (msgpack of ObjectState)
    P:objects:ID:noted   zset   keys that have a note, score 0
    P:objects:ID:lock:D  string an object that somebody has to himself; D is a digest of its key

The first four are deleted with the trigger (`broker/trigger_store/redis_scripts.py`). KEYS[1] is P.
"""

from __future__ import annotations

NOTE = """
-- ARGV: id, key, note
if redis.call('EXISTS', KEYS[1] .. ':trigger:' .. ARGV[1]) == 0 then return 0 end
local objects = KEYS[1] .. ':objects:' .. ARGV[1]
redis.call('HSET', objects .. ':notes', ARGV[2], ARGV[3])
redis.call('ZADD', objects .. ':noted', 0, ARGV[2])
return 1
"""

REPLACE = """
-- ARGV: owner, id, number of pages that go, their last keys, number of pages that come, of each: last key,
-- page; then of each note: key, the note that it must have ('' for none), the new one ('' to drop it)
if redis.call('GET', KEYS[1] .. ':lease:' .. ARGV[2]) ~= ARGV[1] then return 0 end
local objects = KEYS[1] .. ':objects:' .. ARGV[2]
local pages, ends = objects .. ':pages', objects .. ':ends'
local notes, noted = objects .. ':notes', objects .. ':noted'
local i = 4
for _ = 1, tonumber(ARGV[3]) do
  redis.call('HDEL', pages, ARGV[i])
  redis.call('ZREM', ends, ARGV[i])
  i = i + 1
end
local coming = tonumber(ARGV[i])
i = i + 1
for _ = 1, coming do
  redis.call('HSET', pages, ARGV[i], ARGV[i + 1])
  redis.call('ZADD', ends, 0, ARGV[i])
  i = i + 2
end
while ARGV[i] do
  if (redis.call('HGET', notes, ARGV[i]) or '') == ARGV[i + 1] then
    if ARGV[i + 2] == '' then
      redis.call('HDEL', notes, ARGV[i])
      redis.call('ZREM', noted, ARGV[i])
    else
      redis.call('HSET', notes, ARGV[i], ARGV[i + 2])
      redis.call('ZADD', noted, 0, ARGV[i])
    end
  end
  i = i + 3
end
return 1
"""

DROP_NOTES = """
-- ARGV: id, then of each: key, the note that it must have
local objects = KEYS[1] .. ':objects:' .. ARGV[1]
for i = 2, #ARGV, 2 do
  if redis.call('HGET', objects .. ':notes', ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', objects .. ':notes', ARGV[i])
    redis.call('ZREM', objects .. ':noted', ARGV[i])
  end
end
"""
