"""What operators, and the gateway for them, set and look at."""

from __future__ import annotations

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

OPERATING = {
    "limit": _LIMIT,
    "depth": _DEPTH,
    "workers": _WORKERS,
}
