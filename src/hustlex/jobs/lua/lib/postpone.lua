-- @include note_due
-- Let a task that waits wait anew, with another message; false when it does not wait.
-- Field 3 of a message is the id; of a field that comes twice, readers take the last.
local function postpone(queue, id, msg, due_ms)
  local task, fresh = queue.prefix .. 't:' .. id, queue.fresh
  local state = redis.call('HGET', task, 'state')
  if state ~= 'pending' and state ~= 'scheduled' then return false end
  redis.call('ZADD', queue.scheduled, string.format('%.0f', math.ceil(due_ms / 1000)), id)
  note_due(queue.prefix, id, due_ms, queue.now)
  if state == 'pending' and redis.call('LREM', queue.pending, 1, id) == 0 and fresh then
    for n = #fresh, 2, -1 do if fresh[n] == id then table.remove(fresh, n) end end
  end
  local size = #id < 128 and string.char(#id) or string.char(#id % 128 + 128, math.floor(#id / 128))
  redis.call('HSET', task, 'msg', msg .. '\26' .. size .. id, 'state', 'scheduled')
  return redis.call('HDEL', task, 'pending_since', 'parked_at')
end
