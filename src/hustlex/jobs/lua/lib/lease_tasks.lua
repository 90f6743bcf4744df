-- @include fields
-- @include past
-- Lease up to `want` pending tasks to a holder for 30 s; answers id, message, id, message, ... and, of those that have
-- any, {id, crashes, parked_at, canceled, expires_at}; and for how many ms the first had been pending, -1 when nobody
-- noted since when. Tasks that are unique until they start give their lock back.
-- Ids without a task, and ids that somebody is running already, are dropped: they would break readers of the queue.
local function lease_tasks(pending, active, lease, owners, tasks, holder, want, now)
  local now_s = math.floor(now / 1000)
  local leased, ids, expiries, taken, pasts, since = {}, {}, {}, {}, {}, nil
  for _, id in ipairs(want > 0 and redis.call('RPOP', pending, want) or {}) do
    local task = fields(tasks .. id, 'msg', 'state', 'unique_until', 'unique_key', 'pending_since', unpack(past_fields))
    if not task[1] then
      if is_hash(tasks .. id) then redis.call('DEL', tasks .. id) end
    elseif task[2] ~= 'active' or not (taken[id] or redis.call('ZSCORE', lease, id)) then
      taken[id] = true
      redis.call('HSET', tasks .. id, 'state', 'active', 'owner', holder)
      redis.call('HDEL', tasks .. id, 'pending_since')
      if task[3] == 'started' then free(task[4], id) end
      leased[#leased + 1], leased[#leased + 2] = id, task[1]
      local past = past_of(id, task, 6)
      if #ids == 0 then since = tonumber(task[5] or '') end
      if past then pasts[#pasts + 1] = past end
      ids[#ids + 1] = id
      expiries[#expiries + 1], expiries[#expiries + 2] = now_s + 30, id
    end
  end
  if #ids > 0 then
    redis.call('LPUSH', active, unpack(ids))
    redis.call('ZADD', lease, unpack(expiries))
    redis.call('ZADD', owners, now_s + 10, holder:match('^[^:]+'))
    redis.call('EXPIRE', owners, 86400)
  end
  return leased, pasts, since and math.max(math.floor(now - since / 1000000), 0) or -1
end
