"""The two changes of the registry in Redis, each of them whole or not at all.

    P:function:NAME  hash    generation, record (JSON of FunctionRecord), code_bytes
    P:names          zset    every name with score 0, so that it sorts and pages by name
    P:generation     string  the generation given out last, over all functions
    P:code_bytes     string  sum of all functions' code_bytes
    P:provisioned    set     names of functions that have provisioned concurrency
    P:urls           hash    id of a function URL -> function; the record says whether it still holds
    P:changes        channel `GENERATION NAME` of each change

KEYS are those five in this order (without P:urls, which no script touches), the channel last.
"""

from __future__ import annotations

STORE = """
-- ARGV: name, the generation that it must have ('' for none), record, code bytes, 1 if it is provisioned
local held = redis.call('HMGET', KEYS[1], 'generation', 'code_bytes')
if (held[1] or '') ~= ARGV[2] then return false end
local generation = redis.call('INCR', KEYS[3])
redis.call('HSET', KEYS[1], 'generation', generation, 'record', ARGV[3], 'code_bytes', ARGV[4])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('INCRBY', KEYS[4], ARGV[4] - (held[2] or 0))
redis.call(ARGV[5] == '1' and 'SADD' or 'SREM', KEYS[5], ARGV[1])
redis.call('PUBLISH', KEYS[6], generation .. ' ' .. ARGV[1])
return generation
"""

DELETE = """
-- ARGV: name
local code_bytes = redis.call('HGET', KEYS[1], 'code_bytes')
if not code_bytes then return false end
local generation = redis.call('INCR', KEYS[3])
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DECRBY', KEYS[4], code_bytes)
redis.call('SREM', KEYS[5], ARGV[1])
redis.call('PUBLISH', KEYS[6], generation .. ' ' .. ARGV[1])
return generation
"""
