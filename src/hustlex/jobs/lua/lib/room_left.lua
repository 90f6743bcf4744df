-- How many more tasks a queue takes, its limit, or nil and nothing when it has none. Counted is all that is unfinished:
-- pending, active, scheduled, retry and waiting in groups.
-- Up to 100 groups are counted at each call. Of more, each call counts another 100, and what it found all the way round
-- stands until the next time: counting 10,000 would hold up the server for 50 ms, at each enqueue.
local function in_groups(prefix)
  local groups, most, sum = prefix .. 'groups', 100, 0
  local number = redis.call('SCARD', groups)
  if number <= most then
    for _, group in ipairs(redis.call('SMEMBERS', groups)) do sum = sum + redis.call('ZCARD', prefix .. 'g:' .. group) end
    return sum
  end
  local lap = prefix .. 'x:grouped'
  local kept = redis.call('HMGET', lap, 'cursor', 'sum', 'last')
  local page, last = redis.call('SSCAN', groups, kept[1] or '0', 'COUNT', most), tonumber(kept[3] or '') or 0
  sum = tonumber(kept[2] or '') or 0
  for _, group in ipairs(page[2]) do sum = sum + redis.call('ZCARD', prefix .. 'g:' .. group) end
  if page[1] == '0' then last, sum = sum, 0 end
  redis.call('HSET', lap, 'cursor', page[1], 'sum', sum, 'last', last)
  redis.call('PEXPIRE', lap, 600000)
  return math.max(number, last, sum)
end

local function room_left(prefix)
  local limit = tonumber(redis.call('GET', prefix .. 'x:limit') or '')
  if not limit then return nil end
  local size = redis.call('LLEN', prefix .. 'pending') + redis.call('LLEN', prefix .. 'active')
  size = size + redis.call('ZCARD', prefix .. 'scheduled') + redis.call('ZCARD', prefix .. 'retry') + in_groups(prefix)
  for _, set in ipairs(redis.call('ZRANGE', prefix .. 'aggregation_sets', 0, -1)) do
    size = size + redis.call('ZCARD', set)
  end
  return limit - size, limit
end
