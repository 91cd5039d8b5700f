"""What a worker does with a message that it holds: nothing, where others hold it meanwhile (fenced)."""

from __future__ import annotations

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

SETTLING = {
    "ack": _ACK,
    "chain": _CHAIN,
    "release": _RELEASE,
    "amend": _AMEND,
    "dead_letter": _DEAD_LETTER,
}
