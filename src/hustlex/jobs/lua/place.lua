-- @include note_due
-- Put a new task where it belongs: 1 pending, 2 scheduled, 3 aggregating, 0 its id is taken, or who holds its lock.
-- queue: its prefix and keys, and the time. due: "" now, "+<ms>" later, "<ms>" at.
-- queue.fresh: when there, gathers ids for the caller to push at once. With queue.since, formatted once, this takes a
-- quarter off the time of a batch.
-- The queue's key before the task's: if it holds another type, the script ends there and nothing is half done.
local function place(queue, id, msg, due, lock, ttl_s, group)
  local now = queue.now
  local holder = lock ~= '' and redis.call('GET', lock)
  if holder then return holder end
  local task = queue.prefix .. 't:' .. id
  if redis.call('EXISTS', task) == 1 then return 0 end
  local due_ms, answer = tonumber(due) or now, 1
  if due:sub(1, 1) == '+' then due_ms = now + due_ms end
  if due_ms > now then
    note_due(queue.prefix, id, due_ms, now)
    redis.call('ZADD', queue.scheduled, string.format('%.0f', math.ceil(due_ms / 1000)), id)
    redis.call('HSET', task, 'msg', msg, 'state', 'scheduled')
    answer = 2
  elseif group ~= '' then
    redis.call('ZADD', queue.prefix .. 'g:' .. group, string.format('%.0f', math.floor(now / 1000)), id)
    redis.call('SADD', queue.groups, group)
    redis.call('HSET', task, 'msg', msg, 'state', 'aggregating', 'group', group)
    answer = 3
  else
    if queue.fresh then queue.fresh[#queue.fresh + 1] = id else redis.call('LPUSH', queue.pending, id) end
    queue.since = queue.since or string.format('%.0f000000', now)
    redis.call('HSET', task, 'msg', msg, 'state', 'pending', 'pending_since', queue.since)
  end
  if lock ~= '' then
    local life_s = tonumber(ttl_s) + math.floor(math.max(due_ms - now, 0) / 1000)
    redis.call('SET', lock, id, 'EX', string.format('%.0f', life_s))
    redis.call('HSET', task, 'unique_key', lock)
  end
  return answer
end
