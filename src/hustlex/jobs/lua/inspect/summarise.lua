-- jobs.summarise: count queues' tasks in steps whose cost does not depend on how many there are. In a cluster: one queue's.
-- EFFECT read
-- KEYS routes...  list   asynq:{<queue>}:pending of each
-- TOUCHES asynq:{<queue>}:<state>  asynq:{<queue>}:lease  asynq:{<queue>}:groups  asynq:{<queue>}:processed
-- TOUCHES asynq:{<queue>}:failed  asynq:{<queue>}:paused  asynq:{<queue>}:x:limit  asynq:{<queue>}:t:<id>
-- TOUCHES asynq:{<queue>}:x:parked
-- TOUCHES asynq:{<queue>}:processed:<day>  asynq:{<queue>}:failed:<day>
-- ARGV now_ms     int    0: the server's clock
-- ARGV apart      int    1: some may lie on other nodes than the one that is asked
-- ARGV prefixes... text  asynq:{<queue>}: of each
-- REPLY {1, numbers...}  17 of each queue, in the order of QueueSummary; latency in ms, limit -1 = none, since when the next
--                        waits in Unix ms, 0 = none; the first is -1: the queue lies elsewhere
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

local function count(prefix)
  add(redis.pcall('LLEN', prefix .. 'pending'))
  add(redis.pcall('LLEN', prefix .. 'active'))
  for _, state in ipairs({'scheduled', 'retry', 'archived', 'completed'}) do add(redis.pcall('ZCARD', prefix .. state)) end
  add(redis.pcall('SCARD', prefix .. 'groups'))
  for _, name in ipairs({'processed:' .. day, 'failed:' .. day, 'processed', 'failed'}) do
    add(redis.pcall('GET', prefix .. name))
  end
  add(redis.call('EXISTS', prefix .. 'paused'))
  local oldest = redis.pcall('LINDEX', prefix .. 'pending', -1)
  local task = type(oldest) == 'string' and prefix .. 't:' .. oldest
  local since = tonumber(task and field(task, 'pending_since') or '')
  add(string.format('%.0f', since and math.max(now - since / 1000000, 0) or 0))
  add(redis.pcall('ZCOUNT', prefix .. 'lease', '-inf', math.floor(now / 1000)))
  add(redis.pcall('GET', prefix .. 'x:limit'), -1)
  add(redis.pcall('HLEN', prefix .. 'x:parked'))
  add(string.format('%.0f', (since or 0) / 1000000))
end

for i = 3, #ARGV do
  local elsewhere = apart == '1' and type(redis.pcall('EXISTS', ARGV[i] .. 'paused')) == 'table'
  if elsewhere then
    add(-1)
    for _ = 2, 17 do add(0) end
  else count(ARGV[i]) end
end
return reply
