-- How many more tasks a queue takes, its limit, or nil and nothing when it has none. Counted is all that is unfinished:
-- pending, active, scheduled, retry and waiting in groups.
local function room_left(prefix)
  local limit = tonumber(redis.call('GET', prefix .. 'x:limit') or '')
  if not limit then return nil end
  local size = redis.call('LLEN', prefix .. 'pending') + redis.call('LLEN', prefix .. 'active')
  size = size + redis.call('ZCARD', prefix .. 'scheduled') + redis.call('ZCARD', prefix .. 'retry')
  for _, group in ipairs(redis.call('SMEMBERS', prefix .. 'groups')) do
    size = size + redis.call('ZCARD', prefix .. 'g:' .. group)
  end
  for _, set in ipairs(redis.call('ZRANGE', prefix .. 'aggregation_sets', 0, -1)) do
    size = size + redis.call('ZCARD', set)
  end
  return limit - size, limit
end
