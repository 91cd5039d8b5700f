"""The Lua scripts: every change of state that must happen whole or not at all.

Keys, all under one prefix `P` (KEYS[1]; not for Redis Cluster):

    P:messages          hash  request id -> header line + envelope
    P:lane:CLASS:N      list  of request ids, oldest first
    P:parked:FUNCTION   list  of request ids that wait behind the function's concurrency gate
    P:parked            set   of functions with a parked list
    P:gate:FUNCTION     set   of request ids that hold a slot of the function's reserved concurrency
    P:limits            hash  function -> reserved concurrency; 0 stops sync calls and lets async ones pass,
                              for a worker to end them unrun
    P:delayed           zset  request id by due time (ms)
    P:workers           hash  epoch -> description
    P:capacity          hash  epoch -> how many messages it may hold
    P:idle              zset  epoch with room, by time it said so; the latest is asked first
    P:held:EPOCH        set   of request ids in that worker's hands
    P:lease:EPOCH       string that lapses
    P:outcome:ID        string terminal state of an async invocation
    P:dead              stream of dead letters
    P:janitor           string whose holder moves delayed messages and watches leases

The header line is `CLASS LANE_A LANE_B ATTEMPT DELIVERIES LOSSES FUNCTION`. A message is in exactly one place
(a lane, parked, delayed, or held) and holds a slot of its function's gate only on a lane or held, so a slot
cannot outlive its message. A worker with room is given a message by publishing it to `P:to:EPOCH` within
the script that accepts it: one hop, and the message is already in its held set.
"""

from __future__ import annotations

# Lua makes its functions anew in every run of a script. The hot scripts take what the
# common case needs and call `more` only where they leave it; all others begin with everything.
_LIBRARY = """
local p = KEYS[1]
local call = redis.call
local messages, idle, capacity = p .. ':messages', p .. ':idle', p .. ':capacity'
local inline_bytes = 262144

local function push(epoch, id, value)
  if #value > inline_bytes then return call('PUBLISH', p .. ':to:' .. epoch, id) end
  return call('PUBLISH', p .. ':to:' .. epoch, id .. '\\n' .. value)
end

local function now_ms()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function hand_over(id, value)
  while true do
    local epoch = call('ZREVRANGE', idle, 0, 0)[1]
    if not epoch then return false end
    local held = p .. ':held:' .. epoch
    local room = tonumber(call('HGET', capacity, epoch) or 0) - call('SCARD', held)
    if room > 0 and push(epoch, id, value) > 0 then
      call('SADD', held, id)
      if room == 1 then call('ZREM', idle, epoch) end
      return true
    end
    call('ZREM', idle, epoch)
  end
end

local function enqueue(id, value, class, a, b)
  if hand_over(id, value) then return 'delivered' end
  local lane, other = p .. ':lane:' .. class .. ':' .. a, p .. ':lane:' .. class .. ':' .. b
  if call('LLEN', other) < call('LLEN', lane) then lane = other end
  call('RPUSH', lane, id)
  return 'queued'
end

local function admit(id, value, fn, class, a, b)
  local limit = tonumber(call('HGET', p .. ':limits', fn) or nil)
  if limit and not (limit == 0 and class == 'async') then
    local gate = p .. ':gate:' .. fn
    if call('SCARD', gate) >= limit then
      if class == 'sync' then return 'throttled:' .. limit end
      call('RPUSH', p .. ':parked:' .. fn, id)
      call('SADD', p .. ':parked', fn)
      return 'parked'
    end
    call('SADD', gate, id)
  end
  return enqueue(id, value, class, a, b)
end
"""

_MORE = """
local function more()
  local function header(value)
    return string.match(value, '^(%l+) (%d+) (%d+) (%d+) (%d+) (%d+) ([^\\n]*)\\n')
  end

  local function again(id, value, charge, loss)
    local class, a, b, attempt, deliveries, losses, fn = header(value)
    local rest = string.sub(value, string.find(value, '\\n', 1, true), -1)
    value = table.concat({class, a, b, attempt + charge, deliveries + 1, losses + loss, fn}, ' ') .. rest
    call('HSET', messages, id, value)
    return value, fn, class, a, b
  end

  local function unpark(fn, most)
    local parked, gate = p .. ':parked:' .. fn, p .. ':gate:' .. fn
    local limit = tonumber(call('HGET', p .. ':limits', fn) or nil)
    if limit == 0 then limit = nil end
    while most > 0 and not (limit and call('SCARD', gate) >= limit) do
      local id = call('LPOP', parked)
      if not id then call('SREM', p .. ':parked', fn) return end
      local value = call('HGET', messages, id)
      if value then
        local class, a, b = header(value)
        if limit then call('SADD', gate, id) end
        enqueue(id, value, class, a, b)
      end
      most = most - 1
    end
  end

  local function free_slot(fn, id)
    if call('SREM', p .. ':gate:' .. fn, id) == 1 then unpark(fn, 16) end
  end

  local function forget(fn, id)
    call('HDEL', messages, id)
    free_slot(fn, id)
  end

  local function pop(epoch, lane, room)
    local taken, ids = 0, call('LPOP', lane, room)
    if not ids then return 0 end
    local values = call('HMGET', messages, unpack(ids))
    for i, id in ipairs(ids) do
      if values[i] then
        push(epoch, id, values[i])
        call('SADD', p .. ':held:' .. epoch, id)
        taken = taken + 1
      end
    end
    return taken
  end

  local function fill(epoch, lanes, from)
    if call('ZSCORE', idle, epoch) then return end
    local allowed = call('HGET', capacity, epoch)
    if not allowed then return end
    local room = tonumber(allowed) - call('SCARD', p .. ':held:' .. epoch)
    for _, class in ipairs({'sync', 'async'}) do
      while room > 0 do
        local waiting = {}
        for i = 0, lanes - 1 do
          local lane = p .. ':lane:' .. class .. ':' .. ((i + from) % lanes)
          if call('LLEN', lane) > 0 then waiting[#waiting + 1] = lane end
        end
        if #waiting == 0 then break end
        local share = math.min(256, math.ceil(room / #waiting))
        for _, lane in ipairs(waiting) do
          if room > 0 then room = room - pop(epoch, lane, math.min(share, room)) end
        end
      end
    end
    if room > 0 then call('ZADD', idle, now_ms(), epoch) end
  end
  return {header = header, again = again, unpark = unpark,
          free_slot = free_slot, forget = forget, fill = fill}
end
"""

_ALL = """
local m = more()
local header, again, unpark, free_slot, forget, fill =
  m.header, m.again, m.unpark, m.free_slot, m.forget, m.fill
"""

_PUBLISH = """
-- ARGV: id, value, function, class, lane a, lane b
local placement = admit(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6])
if string.sub(placement, 1, 9) ~= 'throttled' then call('HSET', messages, ARGV[1], ARGV[2]) end
return placement
"""

_WITHDRAW = """
-- ARGV: id, function. Answers 1 if the message was still waiting.
if call('HEXISTS', messages, ARGV[1]) == 0 then return 0 end
for _, epoch in ipairs(call('HKEYS', p .. ':workers')) do
  if call('SISMEMBER', p .. ':held:' .. epoch, ARGV[1]) == 1 then return 0 end
end
forget(ARGV[2], ARGV[1])
return 1
"""

_REGISTER = """
-- ARGV: epoch, description, capacity, lease ms, lanes, from
call('HSET', p .. ':workers', ARGV[1], ARGV[2])
call('HSET', capacity, ARGV[1], ARGV[3])
call('SET', p .. ':lease:' .. ARGV[1], '1', 'PX', ARGV[4])
fill(ARGV[1], tonumber(ARGV[5]), tonumber(ARGV[6]))
return 1
"""

_RENEW = """
-- ARGV: epoch, lease ms, lanes, from. Answers what the worker holds, nothing if its lease is lost.
if call('HEXISTS', p .. ':workers', ARGV[1]) == 0 then return false end
call('SET', p .. ':lease:' .. ARGV[1], '1', 'PX', ARGV[2])
local held = call('SMEMBERS', p .. ':held:' .. ARGV[1])
fill(ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]))
return held
"""

_STOP = """
-- ARGV: epoch. It keeps what it holds and gets no more.
call('HDEL', capacity, ARGV[1])
call('ZREM', idle, ARGV[1])
return 1
"""

_ACK = """
-- ARGV: epoch, id, function, lanes, from, outcome, outcome ttl (s), then 6 for each invocation that follows
if call('SREM', p .. ':held:' .. ARGV[1], ARGV[2]) == 0 then return 0 end
call('HDEL', messages, ARGV[2])
if call('SREM', p .. ':gate:' .. ARGV[3], ARGV[2]) == 1 then more().unpark(ARGV[3], 16) end
if ARGV[6] ~= '' then call('SET', p .. ':outcome:' .. ARGV[2], ARGV[6], 'EX', ARGV[7]) end
for i = 8, #ARGV, 6 do
  call('HSET', messages, ARGV[i], ARGV[i + 1])
  admit(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
end
if not call('ZSCORE', idle, ARGV[1]) then more().fill(ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5])) end
return 1
"""

_ACK_MANY = """
-- ARGV: epoch, lanes, from, then id and function of each. Answers 1 or 0 (fenced) for each.
local held, settled = p .. ':held:' .. ARGV[1], {}
for i = 4, #ARGV, 2 do
  local id = ARGV[i]
  local mine = call('SREM', held, id)
  settled[#settled + 1] = mine
  if mine == 1 then
    call('HDEL', messages, id)
    if call('SREM', p .. ':gate:' .. ARGV[i + 1], id) == 1 then more().unpark(ARGV[i + 1], 16) end
  end
end
if not call('ZSCORE', idle, ARGV[1]) then more().fill(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])) end
return settled
"""

_RELEASE = """
-- ARGV: epoch, id, function, lanes, from, delay ms, charge
local id = ARGV[2]
if call('SREM', p .. ':held:' .. ARGV[1], id) == 0 then return 0 end
local value = call('HGET', messages, id)
if value then
  local value, fn, class, a, b = again(id, value, tonumber(ARGV[7]), 0)
  free_slot(fn, id)
  if tonumber(ARGV[6]) > 0 then
    call('ZADD', p .. ':delayed', now_ms() + tonumber(ARGV[6]), id)
  elseif string.sub(admit(id, value, fn, class, a, b), 1, 9) == 'throttled' then
    -- A sync message that lost its slot meanwhile: it goes first when one is free.
    call('LPUSH', p .. ':parked:' .. fn, id)
    call('SADD', p .. ':parked', fn)
  end
end
fill(ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5]))
return 1
"""

_DEAD_LETTER = """
-- ARGV: epoch, id, function, lanes, from, outcome, outcome ttl (s), most dead letters
if call('SREM', p .. ':held:' .. ARGV[1], ARGV[2]) == 0 then return 0 end
local value = call('HGET', messages, ARGV[2])
call('XADD', p .. ':dead', 'MAXLEN', '~', ARGV[8], '*',
     'id', ARGV[2], 'message', value or '', 'outcome', ARGV[6])
forget(ARGV[3], ARGV[2])
call('SET', p .. ':outcome:' .. ARGV[2], ARGV[6], 'EX', ARGV[7])
fill(ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5]))
return 1
"""

_TIDY = """
-- ARGV: who, lock ms. The holder of the lock moves what is due; answers the epochs whose lease has lapsed.
local janitor = p .. ':janitor'
local holder = call('GET', janitor)
if holder and holder ~= ARGV[1] then return false end
if not holder or call('PTTL', janitor) < ARGV[2] / 2 then call('SET', janitor, ARGV[1], 'PX', ARGV[2]) end
for _, id in ipairs(call('ZRANGEBYSCORE', p .. ':delayed', '-inf', now_ms(), 'LIMIT', 0, 256)) do
  call('ZREM', p .. ':delayed', id)
  local value = call('HGET', messages, id)
  if value then
    local class, a, b, _, _, _, fn = header(value)
    admit(id, value, fn, class, a, b)
  end
end
for _, fn in ipairs(call('SMEMBERS', p .. ':parked')) do unpark(fn, 256) end
local lapsed = {}
for _, epoch in ipairs(call('HKEYS', p .. ':workers')) do
  if call('EXISTS', p .. ':lease:' .. epoch) == 0 then lapsed[#lapsed + 1] = epoch end
end
return lapsed
"""

_RECLAIM = """
-- ARGV: epoch. Async messages of a dead worker go back on their lanes; the sync ones, which must not run
-- twice, are forgotten and answered, for their callers to be told. Nothing is done if the lease is back.
local epoch = ARGV[1]
local held = p .. ':held:' .. epoch
if call('EXISTS', p .. ':lease:' .. epoch) == 1 then return {} end
call('HDEL', p .. ':workers', epoch)
call('HDEL', capacity, epoch)
call('ZREM', idle, epoch)
local unanswered = {}
for _, id in ipairs(call('SMEMBERS', held)) do
  local value = call('HGET', messages, id)
  if value then
    local class, _, _, _, _, _, fn = header(value)
    if class == 'sync' then
      forget(fn, id)
      unanswered[#unanswered + 1] = value
    else
      local value, fn, class, a, b = again(id, value, 0, 1)
      free_slot(fn, id)
      admit(id, value, fn, class, a, b)
    end
  end
end
call('DEL', held)
return unanswered
"""

_LIMIT = """
-- ARGV: function, limit or ''
if ARGV[2] == '' then
  call('HDEL', p .. ':limits', ARGV[1])
  call('DEL', p .. ':gate:' .. ARGV[1])
else
  call('HSET', p .. ':limits', ARGV[1], ARGV[2])
end
unpark(ARGV[1], 256)
return 1
"""

_DEPTH = """
-- ARGV: lanes. Answers queued, running, parked, delayed.
local queued, running, parked = 0, 0, 0
for _, class in ipairs({'sync', 'async'}) do
  for i = 0, ARGV[1] - 1 do queued = queued + call('LLEN', p .. ':lane:' .. class .. ':' .. i) end
end
for _, epoch in ipairs(call('HKEYS', p .. ':workers')) do
  running = running + call('SCARD', p .. ':held:' .. epoch)
end
for _, fn in ipairs(call('SMEMBERS', p .. ':parked')) do
  parked = parked + call('LLEN', p .. ':parked:' .. fn)
end
return {queued, running, parked, call('ZCARD', p .. ':delayed')}
"""

_WORKERS = """
-- Answers epoch, description, held, 1 if the lease is current, for each worker.
local all = {}
local workers = call('HGETALL', p .. ':workers')
for i = 1, #workers, 2 do
  all[#all + 1] = {workers[i], workers[i + 1], call('SCARD', p .. ':held:' .. workers[i]),
                   call('EXISTS', p .. ':lease:' .. workers[i])}
end
return all
"""

_HOT = {"publish": _PUBLISH, "ack": _ACK, "ack_many": _ACK_MANY}
_OTHERS = {
    "withdraw": _WITHDRAW,
    "register": _REGISTER,
    "renew": _RENEW,
    "stop": _STOP,
    "release": _RELEASE,
    "dead_letter": _DEAD_LETTER,
    "tidy": _TIDY,
    "reclaim": _RECLAIM,
    "limit": _LIMIT,
    "depth": _DEPTH,
    "workers": _WORKERS,
}

SCRIPTS: dict[str, str] = {
    **{name: _LIBRARY + _MORE + body for name, body in _HOT.items()},
    **{name: _LIBRARY + _MORE + _ALL + body for name, body in _OTHERS.items()},
}
