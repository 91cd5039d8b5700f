"""What follows when a message leaves its place: its slot is freed, workers with room read the lanes."""

from __future__ import annotations

MORE = """
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
"""Needs all of `placement`."""

ALL = """
local m = more()
local header, bury, again, unpark, free_slot, forget, fill =
  m.header, m.bury, m.again, m.unpark, m.free_slot, m.forget, m.fill

local function now_ms()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
"""
"""Its words, for scripts that need them in any case."""
