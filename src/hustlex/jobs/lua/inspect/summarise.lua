-- jobs.summarise: count a queue's tasks in steps whose cost does not depend on how many there are.
-- EFFECT read
-- KEYS pending    list   asynq:{<queue>}:pending
-- KEYS active     list   asynq:{<queue>}:active
-- KEYS scheduled  zset   asynq:{<queue>}:scheduled
-- KEYS retry      zset   asynq:{<queue>}:retry
-- KEYS archived   zset   asynq:{<queue>}:archived
-- KEYS completed  zset   asynq:{<queue>}:completed
-- KEYS lease      zset   asynq:{<queue>}:lease
-- KEYS groups     set    asynq:{<queue>}:groups
-- KEYS processed  int    asynq:{<queue>}:processed
-- KEYS failed     int    asynq:{<queue>}:failed
-- KEYS paused     string asynq:{<queue>}:paused
-- KEYS limit      string asynq:{<queue>}:x:limit
-- TOUCHES asynq:{<queue>}:t:<id>  asynq:{<queue>}:processed:<day>  asynq:{<queue>}:failed:<day>
-- ARGV now_ms     int    0: the server's clock
-- ARGV tasks      text   asynq:{<queue>}:t:
-- REPLY {1, numbers}     in the order of QueueSummary; latency in ms, limit -1 = none
-- @include clock
-- @include fields
-- @include utc_day
local now = clock(now_ms)
local day = utc_day(math.floor(now / 1000))
local reply = {1}
for _, key in ipairs({pending, active}) do reply[#reply + 1] = redis.call('LLEN', key) end
for _, key in ipairs({scheduled, retry, archived, completed}) do reply[#reply + 1] = redis.call('ZCARD', key) end
reply[#reply + 1] = redis.call('SCARD', groups)
for _, key in ipairs({processed .. ':' .. day, failed .. ':' .. day, processed, failed}) do
  reply[#reply + 1] = redis.call('GET', key) or '0'
end
reply[#reply + 1] = redis.call('EXISTS', paused)
local oldest = redis.call('LINDEX', pending, -1)
local since = tonumber(oldest and field(tasks .. oldest, 'pending_since') or '')
reply[#reply + 1] = string.format('%.0f', since and math.max(now - since / 1000000, 0) or 0)
reply[#reply + 1] = redis.call('ZCOUNT', lease, '-inf', math.floor(now / 1000))
reply[#reply + 1] = redis.call('GET', limit) or '-1'
return reply
