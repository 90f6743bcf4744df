-- @include postpone
-- @include unique_lock
-- @include wishes
-- Put a new task where it belongs: 1 pending, 2 scheduled, 3 aggregating, or who holds its lock; {0, state}: its id is
-- taken; {id}: that task of the same lock waits anew, with this message; {size, limit}: the queue is full.
-- queue: its prefix and keys, and the time; room and limit, as room_left has them, when its limit is to be obeyed.
-- due: "" now, "+<ms>" later, "<ms>" at. till: what ends the lock early: "", "started", "done"; "debounce": as started.
-- queue.fresh: when there, gathers ids for the caller to push at once: with queue.since a quarter off a batch's time.

-- The queue's key before the task's: if it holds another type, the script ends there and nothing is half done.
local function store(queue, task, id, msg, due_ms, group, first)
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
  if queue.fresh and not first then queue.fresh[#queue.fresh + 1] = id
  else redis.call(first and 'RPUSH' or 'LPUSH', queue.pending, id) end
  queue.since = queue.since or string.format('%.0f000000', queue.now)
  redis.call('HSET', task, 'msg', msg, 'state', 'pending', 'pending_since', queue.since)
  return 1
end

local function place(queue, id, msg, due, lock, ttl_s, group, till, wishes)
  local task, due_ms = queue.prefix .. 't:' .. id, due == '' and queue.now or tonumber(due)
  if due:sub(1, 1) == '+' then due_ms = queue.now + due_ms end
  local wish, state = wishes_of(wishes), state_of(task)
  local over = wish.replace and (state == 'completed' or state == 'archived')
  local holder = lock ~= '' and holder_of(lock, queue.prefix .. 't:', till)
  if holder and till == 'debounce' and postpone(queue, holder, msg, due_ms) then
    take_lock(queue, holder, lock, till, ttl_s, due_ms - queue.now)
    keep_wishes(queue.prefix .. 't:' .. holder, wish, queue.now)
    return {holder}
  end
  if holder and not (over and holder == id) then return holder end
  if state and not over then return {0, state} end
  if queue.room and queue.room < 1 then return {queue.limit - queue.room, queue.limit} end
  queue.room = queue.room and queue.room - 1
  if over then clear_finished(queue.prefix, id, state) end
  local answer = store(queue, task, id, msg, due_ms, group, wish.first)
  if wishes and wishes ~= '' then keep_wishes(task, wish, queue.now) end
  if lock ~= '' then take_lock(queue, id, lock, till, ttl_s, due_ms - queue.now) end
  return answer
end
