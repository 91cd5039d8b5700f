"""The Lua scripts: every change of state that must happen whole or not at all.

Two prefixes: `P` (KEYS[1]) for what must survive a crash of Redis, `V` (KEYS[2], `P:run:RUNID`) for what need
not. Sync invocations and who is idle live under V and are written with replication off, so that they never
reach the append-only file: a sync call waits for no disk. The run id of the server is in the name, because a
rewrite of the file saves all keys: after a restart what it saved of the last run must not be found again.

    P:messages          hash  request id -> header line + envelope
    P:lane:async:N      list  of request ids, oldest first
    P:parked:FUNCTION   list  of request ids that wait behind the function's concurrency gate
    P:parked            set   of functions with a parked list
    P:gate:FUNCTION     set   of request ids that hold a slot of the function's reserved concurrency
    P:limits            hash  function -> reserved concurrency; 0 stops sync calls and lets async ones pass,
                              for a worker to end them unrun
    P:delayed           zset  request id by due time (ms)
    P:workers           hash  epoch -> description
    P:held:EPOCH        set   of request ids in that worker's hands
    P:outcome:ID        string terminal state of an async invocation
    P:dead              stream of dead letters
    P:accepted:ID       string that such a message was accepted, for those that are accepted once
    V:messages, V:lane:sync:N, V:gate:FUNCTION, V:held:EPOCH      the same for sync invocations
    V:capacity          hash  epoch -> how many messages it may hold
    V:offers:F:VERSION  zset  epoch by how many provisioned environments of that version it has without work
    V:sent:F:VERSION    hash  epoch -> how many messages it was sent because it offers; each says its number
    V:idle              zset  epoch with room, by time it said so; the latest is asked first
    V:withdrawn         string how many ids on the lanes are of messages that were withdrawn
    V:lease:EPOCH       string that lapses
    V:janitor           string whose holder moves delayed messages and watches leases
    P:last_run          string run id whose V keys exist; a janitor deletes those of the one before

Messages that follow each other and share a route travel as one run, which takes few commands; and no text of
their length is made in Lua: these are what the hot scripts spend their time on.

The header line is `CLASS LANE_A LANE_B ATTEMPT DELIVERIES LOSSES FUNCTION`. A message is in exactly one place
(a lane, parked, delayed, or held) and holds a slot of its function's gate only on a lane or held, so a slot
cannot outlive its message. A worker with room is given a message by publishing it to `P:to:EPOCH` within
the script that accepts it: one hop, and the message is already in its held set.

Not for Redis Cluster: a script touches keys of many slots.
"""

from __future__ import annotations

# Lua makes its functions anew in every run of a script. The hot scripts take what the common case needs and
# call `more` only where they leave it; all others begin with everything.
_LIBRARY = """
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
    if count > 0 and push(epoch, class, some, their_values) then
      writing(class)
      call('SADD', home(class) .. ':held:' .. epoch, unpack(some))
      given, room = given + count, room - count
    else
      room = 0
    end
    if room <= 0 then
      busy(epoch)
      asked = false
    end
  end
  return given
end

-- To the worker that offers most environments of the version; it may have none left, and makes one.
local function hand_to_offering(id, value, class, wanted)
  local offers, sent = v .. ':offers:' .. wanted, v .. ':sent:' .. wanted
  while true do
    local epoch = call('ZREVRANGE', offers, 0, 0)[1]
    if not epoch then return false end
    local left = room_of(epoch)
    writing('sync')
    local mark = left > 0 and 'sent ' .. call('HINCRBY', sent, epoch, 1) .. ' '
    if mark and push(epoch, class, {id}, {value}, mark) then
      writing(class)
      call('SADD', home(class) .. ':held:' .. epoch, id)
      writing('sync')
      call('ZINCRBY', offers, -1, epoch)
      if left == 1 then call('ZREM', idle, epoch) end
      if epoch == asked then asked = false end
      return true
    end
    call('ZREM', offers, epoch)
    call('HDEL', sent, epoch)
  end
end

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

_MORE = """
local function more()
  local function header(value)
    return string.match(value, '^(%l+) (%d+) (%d+) (%d+) (%d+) (%d+) ([^\\n]*)\\n')
  end

  -- What nobody can read is set aside with the reason, not dropped.
  local function bury(id, value)
    writing('async')
    call('XADD', p .. ':dead', 'MAXLEN', '~', 10000, '*', 'id', id, 'message', value, 'outcome', '')
    call('HDEL', p .. ':messages', id)
    call('SET', p .. ':outcome:' .. id, cmsgpack.pack({
      request_id = id, function_name = '', version = '', status = 'failed', attempts = 0, deliveries = 0,
      finished_ms = 0, reason = 'Undecodable', dead_letter = 'dead-letter/' .. id}), 'EX', 86400)
  end

  local function again(id, value, charge, loss)
    local class, a, b, attempt, deliveries, losses, fn = header(value)
    local rest = string.sub(value, string.find(value, '\\n', 1, true), -1)
    value = table.concat({class, a, b, attempt + charge, deliveries + 1, losses + loss, fn}, ' ') .. rest
    writing(class)
    call('HSET', home(class) .. ':messages', id, value)
    return value, fn, class, a, b
  end

  local function unpark(fn, most)
    local parked, gate = p .. ':parked:' .. fn, p .. ':gate:' .. fn
    local limit = tonumber(call('HGET', p .. ':limits', fn) or nil)
    if limit == 0 then limit = nil end
    while most > 0 and not (limit and slots_in_use(fn) >= limit) do
      writing('async')
      local id = call('LPOP', parked)
      if not id then call('SREM', p .. ':parked', fn) return end
      local value = call('HGET', p .. ':messages', id)
      if value then
        local class, a, b = header(value)
        if not class then
          bury(id, value)
        else
          if limit then call('SADD', gate, id) end
          enqueue(id, value, class, a, b)
        end
      end
      most = most - 1
    end
  end

  local function free_slot(fn, class, id)
    writing(class)
    if call('SREM', home(class) .. ':gate:' .. fn, id) == 1 then unpark(fn, 16) end
  end

  local function forget(fn, class, id)
    writing(class)
    call('HDEL', home(class) .. ':messages', id)
    free_slot(fn, class, id)
  end

  local function pop(epoch, class, lane, most)
    writing(class)
    local ids = call('LPOP', lane, most)
    if not ids then return 0 end
    local found = call('HMGET', home(class) .. ':messages', unpack(ids))
    local taken, values = {}, {}
    for i, id in ipairs(ids) do
      if found[i] then taken[#taken + 1], values[#values + 1] = id, found[i] end
    end
    if #taken > 0 then
      push(epoch, class, taken, values)
      call('SADD', home(class) .. ':held:' .. epoch, unpack(taken))
    end
    if class == 'sync' and #taken < #ids then call('DECRBY', v .. ':withdrawn', #ids - #taken) end
    return #taken
  end

  local function fill(epoch, lanes, from)
    if call('ZSCORE', idle, epoch) or call('HEXISTS', capacity, epoch) == 0 then return end
    local room = room_of(epoch)
    for _, class in ipairs({'sync', 'async'}) do
      while room > 0 do
        local waiting = {}
        for i = 0, lanes - 1 do
          local lane = home(class) .. ':lane:' .. class .. ':' .. ((i + from) % lanes)
          if call('LLEN', lane) > 0 then waiting[#waiting + 1] = lane end
        end
        if #waiting == 0 then break end
        local share = math.min(256, math.ceil(room / #waiting))
        for _, lane in ipairs(waiting) do
          if room > 0 then room = room - pop(epoch, class, lane, math.min(share, room)) end
        end
      end
    end
    if room > 0 then
      local t = call('TIME')
      writing('sync')
      call('ZADD', idle, t[1] * 1000 + math.floor(t[2] / 1000), epoch)
    end
  end
  return {header = header, bury = bury, again = again, unpark = unpark,
          free_slot = free_slot, forget = forget, fill = fill}
end
"""

_ALL = """
local m = more()
local header, bury, again, unpark, free_slot, forget, fill =
  m.header, m.bury, m.again, m.unpark, m.free_slot, m.forget, m.fill

local function now_ms()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
"""

_PUBLISH = """
-- ARGV: runs, each of function, class, lane a, lane b, provisioned version or '', number of its messages,
-- then id and value of each. Answers the placement of each message.
local placements, at = {}, 1
while at <= #ARGV do
  local fn, class, a, b, wanted = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local after = at + 6 + 2 * ARGV[at + 5]
  local messages = home(class) .. ':messages'
  if wanted ~= '' or limit_of(fn, class) then
    for i = at + 6, after - 1, 2 do
      local placement = admit(ARGV[i], ARGV[i + 1], fn, class, a, b, wanted)
      if string.sub(placement, 1, 9) ~= 'throttled' then
        writing(class)
        call('HSET', messages, ARGV[i], ARGV[i + 1])
      end
      placements[#placements + 1] = placement
    end
  else
    local ids, values = {}, {}
    for i = at + 6, after - 1, 2 do ids[#ids + 1], values[#values + 1] = ARGV[i], ARGV[i + 1] end
    local given = enqueue_all(ids, values, class, a, b)
    writing(class)
    call('HSET', messages, unpack(ARGV, at + 6, after - 1))
    for i = 1, #ids do placements[#placements + 1] = i <= given and 'delivered' or 'queued' end
  end
  at = after
end
return placements
"""

_PUBLISH_ONCE = """
-- ARGV: how long to remember (s), then as for publish. Answers 0 if it is known.
writing('async')
if not call('SET', p .. ':accepted:' .. ARGV[2], '1', 'NX', 'EX', ARGV[1]) then return 0 end
call('HSET', p .. ':messages', ARGV[2], ARGV[3])
admit(ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8])
return 1
"""

_ACK = """
-- ARGV: epoch, lanes, from, outcome ttl (s), then runs, each of function, class, number of its messages, then
-- id and outcome of each. Answers 1 or 0 (fenced) for each message.
local settled, at = {}, 5
while at <= #ARGV do
  local fn, class, after = ARGV[at], ARGV[at + 1], at + 3 + 2 * ARGV[at + 2]
  local held, ids, mine = home(class) .. ':held:' .. ARGV[1], {}, {}
  for i = at + 3, after - 1, 2 do ids[#ids + 1] = ARGV[i] end
  writing(class)
  for i, is_mine in ipairs(call('SMISMEMBER', held, unpack(ids))) do
    settled[#settled + 1] = is_mine
    if is_mine == 1 then
      local outcome = ARGV[at + 2 + 2 * i]
      mine[#mine + 1] = ids[i]
      if outcome ~= '' then call('SET', p .. ':outcome:' .. ids[i], outcome, 'EX', ARGV[4]) end
    end
  end
  if #mine > 0 then
    call('SREM', held, unpack(mine))
    call('HDEL', home(class) .. ':messages', unpack(mine))
    local freed = call('SREM', home(class) .. ':gate:' .. fn, unpack(mine))
    if freed > 0 then more().unpark(fn, math.max(16, freed)) end
  end
  at = after
end
if not call('ZSCORE', idle, ARGV[1]) then more().fill(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])) end
return settled
"""

_CHAIN = """
-- ARGV: epoch, id, function, class, lanes, from, outcome, outcome ttl (s), then 7 for each that follows
local id, fn, class = ARGV[2], ARGV[3], ARGV[4]
writing(class)
if call('SREM', home(class) .. ':held:' .. ARGV[1], id) == 0 then return 0 end
forget(fn, class, id)
writing('async')
if ARGV[7] ~= '' then call('SET', p .. ':outcome:' .. id, ARGV[7], 'EX', ARGV[8]) end
for i = 9, #ARGV, 7 do
  call('HSET', p .. ':messages', ARGV[i], ARGV[i + 1])
  admit(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5], ARGV[i + 6])
  writing('async')
end
fill(ARGV[1], tonumber(ARGV[5]), tonumber(ARGV[6]))
return 1
"""

_WITHDRAW = """
-- ARGV: id, function, class. Answers 1 if the message was still waiting.
local at = home(ARGV[3])
if call('HEXISTS', at .. ':messages', ARGV[1]) == 0 then return 0 end
for _, epoch in ipairs(call('HKEYS', p .. ':workers')) do
  if call('SISMEMBER', at .. ':held:' .. epoch, ARGV[1]) == 1 then return 0 end
end
forget(ARGV[2], ARGV[3], ARGV[1])
if ARGV[3] == 'sync' then  -- its id stays on a lane until that is read
  writing('sync')
  call('INCR', v .. ':withdrawn')
end
return 1
"""

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

_OFFER = """
-- ARGV: epoch, how long the offers hold (ms), then for each version its name, environments without work (or
-- below 0: no offer any more), and of how many that it was sent this number knows: the others take one each.
writing('sync')
for i = 3, #ARGV, 3 do
  local offers, sent = v .. ':offers:' .. ARGV[i], v .. ':sent:' .. ARGV[i]
  local available, accounted = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  if available < 0 then
    call('ZREM', offers, ARGV[1])
    call('HDEL', sent, ARGV[1])
  else
    local number = tonumber(call('HGET', sent, ARGV[1]) or 0)
    if number < accounted then  -- it had lapsed with the offers
      call('HSET', sent, ARGV[1], accounted)
      number = accounted
    end
    call('ZADD', offers, available - (number - accounted), ARGV[1])
    call('PEXPIRE', offers, ARGV[2])
    call('PEXPIRE', sent, ARGV[2])
  end
end
return 1
"""

_STOP = """
-- ARGV: epoch. It keeps what it holds and gets no more.
writing('sync')
call('HDEL', capacity, ARGV[1])
call('ZREM', idle, ARGV[1])
return 1
"""

_RELEASE = """
-- ARGV: epoch, id, function, class, lanes, from, delay ms, charge
local id, class = ARGV[2], ARGV[4]
writing(class)
if call('SREM', home(class) .. ':held:' .. ARGV[1], id) == 0 then return 0 end
local value = call('HGET', home(class) .. ':messages', id)
if value then
  local value, fn, class, a, b = again(id, value, tonumber(ARGV[8]), 0)
  free_slot(fn, class, id)
  if class == 'async' and tonumber(ARGV[7]) > 0 then
    writing(class)
    call('ZADD', p .. ':delayed', now_ms() + tonumber(ARGV[7]), id)
  elseif string.sub(admit(id, value, fn, class, a, b), 1, 9) == 'throttled' then
    -- A sync message that lost its slot meanwhile goes on without one rather than be lost.
    enqueue(id, value, class, a, b)
  end
end
fill(ARGV[1], tonumber(ARGV[5]), tonumber(ARGV[6]))
return 1
"""

_AMEND = """
-- ARGV: epoch, id, function, value. The message stays in that worker's hands, with its counts, and leaves its
-- function's gate. Answers 0 if it is fenced.
local id, old = ARGV[2], nil
if call('SISMEMBER', p .. ':held:' .. ARGV[1], id) == 1 then old = call('HGET', p .. ':messages', id) end
if not old then return 0 end
local class, a, b, attempt, deliveries, losses = header(old)
local _, new_a, new_b, _, _, _, fn = header(ARGV[4])
local rest = string.sub(ARGV[4], string.find(ARGV[4], '\\n', 1, true), -1)
writing('async')
local head = table.concat({class, new_a, new_b, attempt, deliveries, losses, fn}, ' ')
call('HSET', p .. ':messages', id, head .. rest)
free_slot(ARGV[3], 'async', id)
return 1
"""

_DEAD_LETTER = """
-- ARGV: epoch, id, function, class, lanes, from, outcome, outcome ttl (s), most dead letters
local id, class = ARGV[2], ARGV[4]
writing(class)
if call('SREM', home(class) .. ':held:' .. ARGV[1], id) == 0 then return 0 end
local value = call('HGET', home(class) .. ':messages', id)
forget(ARGV[3], class, id)
writing('async')
call('XADD', p .. ':dead', 'MAXLEN', '~', ARGV[9], '*', 'id', id, 'message', value or '', 'outcome', ARGV[7])
call('SET', p .. ':outcome:' .. id, ARGV[7], 'EX', ARGV[8])
fill(ARGV[1], tonumber(ARGV[5]), tonumber(ARGV[6]))
return 1
"""

_TIDY = """
-- ARGV: who, lock ms. The holder of the lock moves what is due; answers the epochs whose lease has lapsed.
local janitor = v .. ':janitor'
local holder = call('GET', janitor)
if holder and holder ~= ARGV[1] then return false end
writing('sync')
call('SET', janitor, ARGV[1], 'PX', ARGV[2])
for _, id in ipairs(call('ZRANGEBYSCORE', p .. ':delayed', '-inf', now_ms(), 'LIMIT', 0, 256)) do
  writing('async')
  call('ZREM', p .. ':delayed', id)
  local value = call('HGET', p .. ':messages', id)
  if value then
    local class, a, b, _, _, _, fn = header(value)
    if class then admit(id, value, fn, class, a, b) else bury(id, value) end
  end
end
for _, fn in ipairs(call('SMEMBERS', p .. ':parked')) do unpark(fn, 256) end
local lapsed = {}
for _, epoch in ipairs(call('HKEYS', p .. ':workers')) do
  if call('EXISTS', v .. ':lease:' .. epoch) == 0 then lapsed[#lapsed + 1] = epoch end
end
return lapsed
"""

_RECLAIM = """
-- ARGV: epoch. Async messages of a dead worker go back on their lanes; the sync ones, which must not run
-- twice, are forgotten and answered, for their callers to be told. Nothing is done if the lease is back.
local epoch = ARGV[1]
if call('EXISTS', v .. ':lease:' .. epoch) == 1 then return {} end
call('HDEL', p .. ':workers', epoch)
writing('sync')
call('HDEL', capacity, epoch)
call('ZREM', idle, epoch)
for _, id in ipairs(call('SMEMBERS', p .. ':held:' .. epoch)) do
  local value = call('HGET', p .. ':messages', id)
  if value and not header(value) then
    bury(id, value)
  elseif value then
    local value, fn, class, a, b = again(id, value, 0, 1)
    free_slot(fn, class, id)
    admit(id, value, fn, class, a, b)
  end
end
writing('async')
call('DEL', p .. ':held:' .. epoch)
local unanswered = {}
for _, id in ipairs(call('SMEMBERS', v .. ':held:' .. epoch)) do
  local value = call('HGET', v .. ':messages', id)
  if value then
    local _, _, _, _, _, _, fn = header(value)
    forget(fn or '', 'sync', id)
    unanswered[#unanswered + 1] = value
  end
end
writing('sync')
call('DEL', v .. ':held:' .. epoch)
return unanswered
"""

_LIMIT = """
-- ARGV: function, limit or ''
if ARGV[2] == '' then
  call('HDEL', p .. ':limits', ARGV[1])
  call('DEL', p .. ':gate:' .. ARGV[1])
  call('DEL', v .. ':gate:' .. ARGV[1])
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
  for i = 0, ARGV[1] - 1 do queued = queued + call('LLEN', home(class) .. ':lane:' .. class .. ':' .. i) end
end
queued = math.max(0, queued - (call('GET', v .. ':withdrawn') or 0))
for _, epoch in ipairs(call('HKEYS', p .. ':workers')) do
  running = running + call('SCARD', p .. ':held:' .. epoch) + call('SCARD', v .. ':held:' .. epoch)
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
  local epoch = workers[i]
  all[#all + 1] = {epoch, workers[i + 1],
                   call('SCARD', p .. ':held:' .. epoch) + call('SCARD', v .. ':held:' .. epoch),
                   call('EXISTS', v .. ':lease:' .. epoch)}
end
return all
"""

_HOT = {"publish": _PUBLISH, "ack": _ACK}
_OTHERS = {
    "chain": _CHAIN,
    "publish_once": _PUBLISH_ONCE,
    "withdraw": _WITHDRAW,
    "register": _REGISTER,
    "renew": _RENEW,
    "offer": _OFFER,
    "describe": _DESCRIBE,
    "stop": _STOP,
    "release": _RELEASE,
    "amend": _AMEND,
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
