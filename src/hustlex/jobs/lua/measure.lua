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
-- TOUCHES asynq:{<queue>}:t:<id>  asynq:{<queue>}:g:<group>  asynq:{<queue>}:processed:<day>  ...:failed:<day>
-- ARGV now_ms     int    0: the server's clock
-- ARGV prefix     text   asynq:{<queue>}:
-- REPLY {1, numbers}     in the order of QueueInfo; latency in ms, memory in bytes
-- @include clock
-- @include utc_day
local now, memory = clock(now_ms), 0
local day = utc_day(math.floor(now / 1000))

local function usage(key)
  local bytes = redis.pcall('MEMORY', 'USAGE', key)  -- an ACL may forbid it
  return type(bytes) == 'number' and bytes or 0
end

local function weigh(key, size, ids)
  local sum = 0
  for _, id in ipairs(ids) do sum = sum + usage(prefix .. 't:' .. id) end
  memory = memory + usage(key) + (#ids > 0 and sum / #ids * size or 0)
end

local reply = {1}
for _, key in ipairs({pending, active}) do
  local size = redis.call('LLEN', key)
  weigh(key, size, redis.call('LRANGE', key, 0, 19))
  reply[#reply + 1] = size
end
for _, key in ipairs({scheduled, retry, archived, completed}) do
  local size = redis.call('ZCARD', key)
  weigh(key, size, redis.call('ZRANGE', key, 0, 19))
  reply[#reply + 1] = size
end
local aggregating, names = 0, redis.call('SMEMBERS', groups)
for n, name in ipairs(names) do
  local size = redis.call('ZCARD', prefix .. 'g:' .. name)
  aggregating = aggregating + size
  if n <= 5 then weigh(prefix .. 'g:' .. name, size, redis.call('ZRANGE', prefix .. 'g:' .. name, 0, 19)) end
end
reply[#reply + 1] = aggregating
reply[#reply + 1] = #names
for _, key in ipairs({processed .. ':' .. day, failed .. ':' .. day, processed, failed}) do
  reply[#reply + 1] = redis.call('GET', key) or '0'
end
reply[#reply + 1] = redis.call('EXISTS', paused)
local oldest = redis.call('LINDEX', pending, -1)
local since = tonumber(oldest and redis.call('HGET', prefix .. 't:' .. oldest, 'pending_since') or '')
reply[#reply + 1] = string.format('%.0f', since and math.max(now - since / 1000000, 0) or 0)
reply[#reply + 1] = string.format('%.0f', memory)
return reply
