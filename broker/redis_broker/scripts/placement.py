"""A message finds its place: with a worker that has room, on a lane, or behind a gate."""

from __future__ import annotations

HANDING = """
local p, v = KEYS[1], KEYS[2]
local call = redis.call
local idle, capacity = v .. ':idle', v .. ':capacity'
local inline_bytes = 262144
local mode = redis.REPL_ALL

-- Writes that follow are for the append-only file (async) or not (sync).
local function writing(class)
  local wanted = class == 'sync' and redis.REPL_NONE or redis.REPL_ALL
  if wanted ~= mode then
    redis.set_repl(wanted)
    mode = wanted
  end
end

local function home(class)
  if class == 'sync' then return v end
  return p
end

local function slice(list, first, last)
  local part = {}
  for i = first, last do part[#part + 1] = list[i] end
  return part
end

-- False where the worker does not listen. It fetches a long message itself. A mark comes before the message.
local function push(epoch, class, ids, values, mark)
  local to = p .. ':to:' .. epoch
  for i, id in ipairs(ids) do
    local value = values[i]
    if #value > inline_bytes then value = 'fetch ' .. class .. ' ' .. id end
    if mark then value = mark .. value end
    if call('PUBLISH', to, value) == 0 then return false end
  end
  return true
end

local function room_of(epoch)
  return tonumber(call('HGET', capacity, epoch) or 0)
         - call('SCARD', p .. ':held:' .. epoch) - call('SCARD', v .. ':held:' .. epoch)
end

local function busy(epoch)
  writing('sync')
  call('ZREM', idle, epoch)
end

-- The worker that was asked last, and how many more it can take: many messages may come in one script.
local asked, room = false, 0

-- To workers with room, the first message first. Answers how many found one.
local function hand_over(ids, values, class)
  local given, all = 0, #ids
  while given < all do
    if not asked then
      asked = call('ZREVRANGE', idle, 0, 0)[1]
      if not asked then return given end
      room = room_of(asked)
    end
    local epoch, count = asked, math.min(room, all - given)
    local some, their_values = ids, values
    if count < all then
      some, their_values = slice(ids, given + 1, given + count), slice(values, given + 1, given + count)
    end
    local held, handed = home(class) .. ':held:' .. epoch, false
    if count > 0 then
      writing(class)
      call('SADD', held, unpack(some))  -- a server that is full refuses this, and nobody has heard of them
      handed = push(epoch, class, some, their_values)
      if not handed then call('SREM', held, unpack(some)) end
    end
    if handed then given, room = given + count, room - count else room = 0 end
    if room <= 0 then
      busy(epoch)
      asked = false
    end
  end
  return given
end
"""
"""To workers that are idle; and the words that all scripts use."""

ADMITTING = """
-- To workers, or to the end of a lane. Answers how many were delivered.
local function enqueue_all(ids, values, class, a, b)
  local given = hand_over(ids, values, class)
  if given < #ids then
    local lanes = home(class) .. ':lane:' .. class .. ':'
    local lane, other = lanes .. a, lanes .. b
    if call('LLEN', other) < call('LLEN', lane) then lane = other end
    writing(class)
    call('RPUSH', lane, unpack(ids, given + 1))
  end
  return given
end

local function enqueue(id, value, class, a, b, wanted)
  if wanted and wanted ~= '' and hand_to_offering(id, value, class, wanted) then return 'delivered' end
  if enqueue_all({id}, {value}, class, a, b) == 1 then return 'delivered' end
  return 'queued'
end

local function limit_of(fn, class)
  local limit = tonumber(call('HGET', p .. ':limits', fn) or nil)
  if limit == 0 and class == 'async' then return nil end
  return limit
end

local function slots_in_use(fn)
  return call('SCARD', p .. ':gate:' .. fn) + call('SCARD', v .. ':gate:' .. fn)
end

-- A message that is stored already finds its place.
local function admit(id, value, fn, class, a, b, wanted)
  local limit = limit_of(fn, class)
  if limit then
    if slots_in_use(fn) >= limit then
      if class == 'sync' then return 'throttled:' .. limit end
      writing('async')
      call('RPUSH', p .. ':parked:' .. fn, id)
      call('SADD', p .. ':parked', fn)
      return 'parked'
    end
    writing(class)
    call('SADD', home(class) .. ':gate:' .. fn, id)
  end
  return enqueue(id, value, class, a, b, wanted)
end
"""
"""Past the gate, to a worker or to a lane. Needs `HANDING` and `provisioned.OFFERED`."""
