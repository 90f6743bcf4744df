-- @include fields
-- Whether a task may be put into pending: one that ended not while another that has not ended holds its lock. One that is
-- unique until it is done has its lock again, for 30 days at most, as one that is enqueued.
local function may_run(prefix, id, state)
  if state ~= 'archived' and state ~= 'completed' then return true end
  local lock, till = unpack(fields(prefix .. 't:' .. id, 'unique_key', 'unique_until'))
  local holder = lock and lock ~= '' and redis.pcall('GET', lock)
  if not lock or lock == '' or type(holder) == 'table' then return true end
  local now = holder and holder ~= id and field(prefix .. 't:' .. holder, 'state')
  if now and now ~= 'archived' and now ~= 'completed' then return false end
  if till == 'done' then redis.call('SET', lock, id, 'EX', 2592000) end
  return true
end

-- Into pending, behind what is there; its crashes are forgiven.
local function run_again(task, id, pending, now)
  redis.call('HSET', task, 'state', 'pending', 'pending_since', string.format('%.0f000000', now))
  redis.call('HDEL', task, 'crashes', 'trial', 'parked_at', 'canceled', 'expires_at')
  redis.call('LPUSH', pending, id)
end
