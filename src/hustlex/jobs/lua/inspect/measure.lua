-- jobs.measure: count a queue's tasks and estimate its memory from at most 20 tasks per state.
-- EFFECT read
-- KEYS pending    list   asynq:{<queue>}:pending
-- KEYS active     list   asynq:{<queue>}:active
-- KEYS scheduled  zset   asynq:{<queue>}:scheduled
-- KEYS retry      zset   asynq:{<queue>}:retry
-- KEYS archived   zset   asynq:{<queue>}:archived
-- KEYS completed  zset   asynq:{<queue>}:completed
-- KEYS processed  int    asynq:{<queue>}:processed
-- KEYS failed     int    asynq:{<queue>}:failed
-- KEYS paused     string asynq:{<queue>}:paused
-- KEYS groups     set    asynq:{<queue>}:groups
-- TOUCHES asynq:{<queue>}:t:<id>  asynq:{<queue>}:g:<group>  asynq:{<queue>}:processed:<day>  ...:failed:<day>  ...:x:limit
-- ARGV now_ms     int    0: the server's clock
-- ARGV prefix     text   asynq:{<queue>}:
-- REPLY {1, numbers}     in the order of QueueInfo; latency in ms, memory in bytes, limit -1 = none
-- @include clock
-- @include fields
-- @include utc_day
local now, memory, oldest = clock(now_ms), 0, redis.call('LINDEX', pending, -1)

local function usage(key)
  local bytes = redis.pcall('MEMORY', 'USAGE', key)  -- an ACL may forbid it
  return type(bytes) == 'number' and bytes or 0
end

local function weight(ids)
  local sum = 0
  for _, id in ipairs(ids) do sum = sum + usage(prefix .. 't:' .. id) end
  return sum
end

local reply = {1}
for n, key in ipairs({pending, active, scheduled, retry, archived, completed}) do
  local size = redis.call(n <= 2 and 'LLEN' or 'ZCARD', key)
  local ids = redis.call(n <= 2 and 'LRANGE' or 'ZRANGE', key, 0, 19)
  memory = memory + usage(key) + weight(ids) / math.max(#ids, 1) * size
  reply[#reply + 1] = size
end
-- As Asynq weighs groups, by five of them. Chance chooses 100 of more: to count them all would hold up the server.
local number, aggregating, sampled, sum = redis.call('SCARD', groups), 0, 0, 0
for n, name in ipairs(redis.call('SRANDMEMBER', groups, 100)) do
  local size = redis.pcall('ZCARD', prefix .. 'g:' .. name) -- a table when it holds something else
  aggregating = aggregating + (type(size) == 'number' and size or 0)
  local ids = n <= 5 and type(size) == 'number' and redis.call('ZRANGE', prefix .. 'g:' .. name, 0, 19) or {}
  sampled, sum = sampled + #ids, sum + weight(ids)
end
aggregating = math.floor(aggregating / math.max(math.min(number, 100), 1) * number + 0.5)
memory = memory + sum / math.max(sampled, 1) * aggregating
reply[#reply + 1], reply[#reply + 2] = aggregating, number
local day = utc_day(math.floor(now / 1000))
for _, key in ipairs({processed .. ':' .. day, failed .. ':' .. day, processed, failed}) do
  reply[#reply + 1] = redis.call('GET', key) or '0'
end
reply[#reply + 1] = redis.call('EXISTS', paused)
local since = tonumber(oldest and field(prefix .. 't:' .. oldest, 'pending_since') or '')
reply[#reply + 1] = string.format('%.0f', since and math.max(now - since / 1000000, 0) or 0)
reply[#reply + 1] = string.format('%.0f', memory)
reply[#reply + 1] = redis.call('GET', prefix .. 'x:limit') or '-1'
return reply
