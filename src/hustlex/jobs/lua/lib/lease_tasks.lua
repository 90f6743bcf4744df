-- @include fields
-- @include past
-- Lease up to `want` pending tasks to a holder for 30 s; answers id, message, id, message, ... and, of those that have
-- any, {id, crashes, parked_at, canceled, expires_at}; and for how many ms the first had been pending, -1 when nobody
-- noted since when. Tasks that are unique until they start give their lock back.
-- Ids without a task, and ids that somebody is running already, are dropped: they would break readers of the queue.
local function lease_tasks(pending, active, lease, owners, tasks, holder, want, now)
  local now_s = math.floor(now / 1000)
  local leased, ids, expiries, taken, pasts, since, n = {}, {}, {}, {}, {}, nil, 0
  for _, id in ipairs(want > 0 and redis.call('RPOP', pending, want) or {}) do
    local key = tasks .. id
    local task = record(key)
    if not task.msg then
      if is_hash(key) then redis.call('DEL', key) end
    elseif task.state ~= 'active' or not (taken[id] or redis.call('ZSCORE', lease, id)) then
      redis.call('HSET', key, 'state', 'active', 'owner', holder)
      if task.pending_since then redis.call('HDEL', key, 'pending_since') end
      if task.unique_until == 'started' then free(task.unique_key, id) end
      if n == 0 then since = tonumber(task.pending_since or '') end
      n, taken[id] = n + 1, true
      ids[n], expiries[2 * n - 1], expiries[2 * n] = id, now_s + 30, id
      leased[2 * n - 1], leased[2 * n] = id, task.msg
      pasts[#pasts + 1] = past_of(id, task)
    end
  end
  if n > 0 then
    redis.call('LPUSH', active, unpack(ids))
    redis.call('ZADD', lease, unpack(expiries))
    redis.call('ZADD', owners, now_s + 10, holder:match('^[^:]+'))
    redis.call('EXPIRE', owners, 86400)
  end
  return leased, pasts, since and math.max(math.floor(now - since / 1000000), 0) or -1
end
