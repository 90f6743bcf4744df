-- jobs.summarise: count queues' tasks in steps whose cost does not depend on how many there are. In a cluster: one queue's.
-- EFFECT read
-- KEYS keys...    asynq:{<queue>}: and, for each queue, pending, active, scheduled, retry, archived, completed, lease,
--                 groups, processed, failed, paused, x:limit
-- TOUCHES asynq:{<queue>}:t:<id>  asynq:{<queue>}:processed:<day>  asynq:{<queue>}:failed:<day>
-- ARGV now_ms     int    0: the server's clock
-- REPLY {1, numbers...}  15 of each queue, in the order of QueueSummary; latency in ms, limit -1 = none
-- @include clock
-- @include fields
-- @include utc_day
local now = clock(now_ms)
local day = utc_day(math.floor(now / 1000))
local reply = {1}

-- A key of another type hides only itself.
local function add(found, otherwise)
  reply[#reply + 1] = type(found) ~= 'table' and found or otherwise or 0
end

for i = 1, #KEYS, 12 do
  local pending, processed, failed = KEYS[i], KEYS[i + 8], KEYS[i + 9]
  add(redis.pcall('LLEN', pending))
  add(redis.pcall('LLEN', KEYS[i + 1]))
  for k = i + 2, i + 5 do add(redis.pcall('ZCARD', KEYS[k])) end
  add(redis.pcall('SCARD', KEYS[i + 7]))
  add(redis.pcall('GET', processed .. ':' .. day))
  add(redis.pcall('GET', failed .. ':' .. day))
  add(redis.pcall('GET', processed))
  add(redis.pcall('GET', failed))
  add(redis.call('EXISTS', KEYS[i + 10]))
  local oldest = redis.pcall('LINDEX', pending, -1)
  local task = type(oldest) == 'string' and string.sub(pending, 1, -#'pending' - 1) .. 't:' .. oldest
  local since = tonumber(task and field(task, 'pending_since') or '')
  add(string.format('%.0f', since and math.max(now - since / 1000000, 0) or 0))
  add(redis.pcall('ZCOUNT', KEYS[i + 6], '-inf', math.floor(now / 1000)))
  add(redis.pcall('GET', KEYS[i + 11]), -1)
end
return reply
