-- @include note_due
-- @include unique_lock
-- Put a new task where it belongs: 1 pending, 2 scheduled, 3 aggregating, 0 its id is taken, or who holds its lock;
-- {id}: that task of the same lock waits anew, with this message; {size, limit}: the queue is full.
-- queue: its prefix and keys, and the time; room and limit, as room_left has them, when its limit is to be obeyed.
-- due: "" now, "+<ms>" later, "<ms>" at. till: what ends the lock early: "", "started", "done"; "debounce": as started.
-- queue.fresh: when there, gathers ids for the caller to push at once. With queue.since, formatted once, this takes a
-- quarter off the time of a batch.

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

-- The queue's key before the task's: if it holds another type, the script ends there and nothing is half done.
local function store(queue, task, id, msg, due_ms, group)
  if due_ms > queue.now then
    note_due(queue.prefix, id, due_ms, queue.now)
    redis.call('ZADD', queue.scheduled, string.format('%.0f', math.ceil(due_ms / 1000)), id)
    redis.call('HSET', task, 'msg', msg, 'state', 'scheduled')
    return 2
  elseif group ~= '' then
    redis.call('ZADD', queue.prefix .. 'g:' .. group, string.format('%.0f', math.floor(queue.now / 1000)), id)
    redis.call('SADD', queue.groups, group)
    redis.call('HSET', task, 'msg', msg, 'state', 'aggregating', 'group', group)
    return 3
  end
  if queue.fresh then queue.fresh[#queue.fresh + 1] = id else redis.call('LPUSH', queue.pending, id) end
  queue.since = queue.since or string.format('%.0f000000', queue.now)
  redis.call('HSET', task, 'msg', msg, 'state', 'pending', 'pending_since', queue.since)
  return 1
end

local function place(queue, id, msg, due, lock, ttl_s, group, till)
  local task, due_ms = queue.prefix .. 't:' .. id, due == '' and queue.now or tonumber(due)
  if due:sub(1, 1) == '+' then due_ms = queue.now + due_ms end
  local holder = lock ~= '' and holder_of(lock, queue.prefix .. 't:', till)
  if holder and till == 'debounce' and postpone(queue, holder, msg, due_ms) then
    take_lock(queue, holder, lock, till, ttl_s, due_ms - queue.now)
    return {holder}
  end
  if holder then return holder end
  if redis.call('EXISTS', task) == 1 then return 0 end
  if queue.room and queue.room < 1 then return {queue.limit - queue.room, queue.limit} end
  queue.room = queue.room and queue.room - 1
  local answer = store(queue, task, id, msg, due_ms, group)
  if lock ~= '' then take_lock(queue, id, lock, till, ttl_s, due_ms - queue.now) end
  return answer
end
