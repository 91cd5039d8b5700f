"""Accepting messages, and taking back those that nobody has got yet."""

from __future__ import annotations

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

_WITHDRAW = """
-- ARGV: id, function, class. Answers 1 if the message was still waiting.
local at = home(ARGV[3])
local value = call('HGET', at .. ':messages', ARGV[1])
if not value then return 0 end
for _, epoch in ipairs(call('HKEYS', p .. ':workers')) do
  if call('SISMEMBER', at .. ':held:' .. epoch, ARGV[1]) == 1 then return 0 end
end
forget(ARGV[2], ARGV[3], ARGV[1])
if ARGV[3] == 'sync' then
  -- Its id stays on a lane until that is read, or until it is the first there: without workers nobody reads.
  writing('sync')
  call('INCR', v .. ':withdrawn')
  local _, a, b = header(value)
  for _, number in ipairs({a, b}) do
    local lane = at .. ':lane:sync:' .. number
    for _ = 1, 16 do
      local first = call('LINDEX', lane, 0)
      if not first or call('HEXISTS', at .. ':messages', first) == 1 then break end
      call('LPOP', lane)
      call('DECR', v .. ':withdrawn')
    end
  end
end
return 1
"""

PUBLISHING = {
    "publish": _PUBLISH,
    "publish_once": _PUBLISH_ONCE,
    "withdraw": _WITHDRAW,
}
