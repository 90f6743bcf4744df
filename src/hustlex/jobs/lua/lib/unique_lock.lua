-- holder_of: the id of the task that holds a lock, or false. A Go worker does not end a lock early, so look whether its
-- task is past that point. A lock whose task is gone stands only for those who ask for a time (till = "").
local function holder_of(lock, tasks, till)
  local id = redis.call('GET', lock)
  if not id then return false end
  local state, kept = unpack(redis.call('HMGET', tasks .. id, 'state', 'unique_until'))
  if not state then return till == '' and id end
  local waits = state == 'pending' or state == 'scheduled' or state == 'aggregating'
  if kept == 'started' and not waits then return false end
  return not (kept == 'done' and (state == 'archived' or state == 'completed')) and id
end

-- take_lock: until ttl_s after the task's start, unless what `till` names ("", "started", "done", "debounce") comes first.
local function take_lock(queue, id, lock, till, ttl_s, wait_ms)
  local task, life_s = queue.prefix .. 't:' .. id, tonumber(ttl_s) + math.floor(math.max(wait_ms, 0) / 1000)
  redis.call('SET', lock, id, 'EX', string.format('%.0f', life_s))
  redis.call('HSET', task, 'unique_key', lock)
  if till ~= '' then redis.call('HSET', task, 'unique_until', till == 'done' and 'done' or 'started') end
end
