"""What the janitor does: move what is due, give away what dead workers held."""

from __future__ import annotations

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

TIDYING = {
    "tidy": _TIDY,
    "reclaim": _RECLAIM,
}
