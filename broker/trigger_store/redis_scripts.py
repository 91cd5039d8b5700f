"""The trigger store's changes in Redis, each of them whole or not at all. P is the store's prefix.

    P:trigger:ID      hash    generation, record (JSON)
    P:ids             zset    every id, score: generation of its last change
    P:deleted         zset    ids deleted lately, score: generation of the deletion
    P:forgotten       string  highest generation whose deletion is no longer in P:deleted
    P:generation      string  the generation given out last
    P:status          hash    id -> JSON of TriggerStatus
    P:checkpoints:ID  hash    name -> bytes
    P:lease:ID        string  owner, expires with the lease
    P:objects:ID:...  see broker/object_states/redis_scripts.py
    P:owners          zset    owners that attend, score: epoch ms until when

KEYS[1] is P in every script: not for Redis Cluster, as the broker's scripts.
"""

from __future__ import annotations

MOST_DELETED = 10_000

STORE = """
-- ARGV: id, the generation that it must have ('' for none), record
local key = KEYS[1] .. ':trigger:' .. ARGV[1]
if (redis.call('HGET', key, 'generation') or '') ~= ARGV[2] then return false end
local generation = redis.call('INCR', KEYS[1] .. ':generation')
redis.call('HSET', key, 'generation', generation, 'record', ARGV[3])
redis.call('ZADD', KEYS[1] .. ':ids', generation, ARGV[1])
redis.call('ZREM', KEYS[1] .. ':deleted', ARGV[1])
return generation
"""

DELETE = f"""
-- ARGV: id
local P, id = KEYS[1], ARGV[1]
if redis.call('DEL', P .. ':trigger:' .. id) == 0 then return false end
local generation = redis.call('INCR', P .. ':generation')
redis.call('ZREM', P .. ':ids', id)
redis.call('HDEL', P .. ':status', id)
redis.call('DEL', P .. ':checkpoints:' .. id, P .. ':lease:' .. id)
for _, part in ipairs({{'pages', 'ends', 'notes', 'noted'}}) do
  redis.call('DEL', P .. ':objects:' .. id .. ':' .. part)
end
redis.call('ZADD', P .. ':deleted', generation, id)
local surplus = redis.call('ZCARD', P .. ':deleted') - {MOST_DELETED}
if surplus > 0 then
  local last = redis.call('ZRANGE', P .. ':deleted', surplus - 1, surplus - 1, 'WITHSCORES')
  redis.call('SET', P .. ':forgotten', last[2])
  redis.call('ZREMRANGEBYRANK', P .. ':deleted', 0, surplus - 1)
end
return generation
"""

CHANGES = """
-- ARGV: since. Answers generation, 1 if everything, ids deleted, then for each record: generation, record
local P, since = KEYS[1], tonumber(ARGV[1])
local generation = tonumber(redis.call('GET', P .. ':generation') or 0)
if generation == since then return {generation, 0, {}} end
local forgotten = tonumber(redis.call('GET', P .. ':forgotten') or 0)
local whole = since == 0 or since < forgotten or since > generation
if whole then since = 0 end
local answer = {generation, whole and 1 or 0, {}}
if not whole then
  answer[3] = redis.call('ZRANGEBYSCORE', P .. ':deleted', '(' .. since, '+inf')
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. ':ids', '(' .. since, '+inf')) do
  local held = redis.call('HMGET', P .. ':trigger:' .. id, 'generation', 'record')
  answer[#answer + 1] = held[1]
  answer[#answer + 1] = held[2]
end
return answer
"""

PUT_STATUSES = """
-- ARGV: id, status, ...
for i = 1, #ARGV, 2 do
  if redis.call('EXISTS', KEYS[1] .. ':trigger:' .. ARGV[i]) == 1 then
    redis.call('HSET', KEYS[1] .. ':status', ARGV[i], ARGV[i + 1])
  end
end
"""

SAVE_CHECKPOINTS = """
-- ARGV: owner, id, then of each: name, '1' to keep or '0' to forget, value
if redis.call('GET', KEYS[1] .. ':lease:' .. ARGV[2]) ~= ARGV[1] then return 0 end
local key = KEYS[1] .. ':checkpoints:' .. ARGV[2]
for i = 3, #ARGV, 3 do
  if ARGV[i + 1] == '1' then
    redis.call('HSET', key, ARGV[i], ARGV[i + 2])
  else
    redis.call('HDEL', key, ARGV[i])
  end
end
return 1
"""

ATTEND = """
-- ARGV: owner, ttl ms
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1] .. ':owners', now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1] .. ':owners', '-inf', now)
return redis.call('ZCARD', KEYS[1] .. ':owners')
"""

CLAIM = """
-- ARGV: owner, ttl ms, most new ones, ids
local held, left = {}, tonumber(ARGV[3])
for i = 4, #ARGV do
  local key = KEYS[1] .. ':lease:' .. ARGV[i]
  local owner = redis.call('GET', key)
  if owner == ARGV[1] then
    redis.call('PEXPIRE', key, ARGV[2])
    held[#held + 1] = ARGV[i]
  elseif not owner and left > 0 and redis.call('EXISTS', KEYS[1] .. ':trigger:' .. ARGV[i]) == 1 then
    redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
    held[#held + 1] = ARGV[i]
    left = left - 1
  end
end
return held
"""

RELEASE = """
-- ARGV: owner, ids
for i = 2, #ARGV do
  local key = KEYS[1] .. ':lease:' .. ARGV[i]
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
"""
