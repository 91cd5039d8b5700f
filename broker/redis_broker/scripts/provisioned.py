"""Messages that ask for provisioned environments go to who offers most of them."""

from __future__ import annotations

OFFERED = """
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
"""
"""Needs `placement.HANDING`."""

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

PROVISIONED = {
    "offer": _OFFER,
}
