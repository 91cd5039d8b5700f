"""Workers come, renew their leases, and take nothing new before they go."""

from __future__ import annotations

_REGISTER = """
-- ARGV: epoch, description, capacity, lease ms, lanes, from
call('HSET', p .. ':workers', ARGV[1], ARGV[2])
writing('sync')
call('HSET', capacity, ARGV[1], ARGV[3])
call('SET', v .. ':lease:' .. ARGV[1], '1', 'PX', ARGV[4])
fill(ARGV[1], tonumber(ARGV[5]), tonumber(ARGV[6]))
return 1
"""

_DESCRIBE = """
-- ARGV: epoch, description
if call('HEXISTS', p .. ':workers', ARGV[1]) == 0 then return 0 end
call('HSET', p .. ':workers', ARGV[1], ARGV[2])
return 1
"""

_RENEW = """
-- ARGV: epoch, lease ms, lanes, from, capacity or '' (stopped). Answers the async and the sync messages that
-- the worker holds, nothing if its lease is lost.
if call('HEXISTS', p .. ':workers', ARGV[1]) == 0 then return false end
writing('sync')
call('SET', v .. ':lease:' .. ARGV[1], '1', 'PX', ARGV[2])
if ARGV[5] ~= '' then call('HSET', capacity, ARGV[1], ARGV[5]) end
local held = {call('SMEMBERS', p .. ':held:' .. ARGV[1]), call('SMEMBERS', v .. ':held:' .. ARGV[1])}
fill(ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]))
return held
"""

_STOP = """
-- ARGV: epoch. It keeps what it holds and gets no more.
writing('sync')
call('HDEL', capacity, ARGV[1])
call('ZREM', idle, ARGV[1])
return 1
"""

MEMBERSHIP = {
    "register": _REGISTER,
    "describe": _DESCRIBE,
    "renew": _RENEW,
    "stop": _STOP,
}
