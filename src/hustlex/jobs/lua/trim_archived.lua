-- Keep the archive at 9,999 tasks and 90 days, hashes included; at most 1,000 tasks of each kind per call.
local function drop(archived, tasks, ids)
  for _, id in ipairs(ids) do redis.call('DEL', tasks .. id) end
  if #ids > 0 then redis.call('ZREM', archived, unpack(ids)) end
end

local function trim_archived(archived, tasks, now_s)
  drop(archived, tasks, redis.call('ZRANGEBYSCORE', archived, '-inf', now_s - 7776000, 'LIMIT', 0, 1000))
  local excess = math.min(redis.call('ZCARD', archived) - 9999, 1000)
  if excess > 0 then drop(archived, tasks, redis.call('ZRANGE', archived, 0, excess - 1)) end
end
