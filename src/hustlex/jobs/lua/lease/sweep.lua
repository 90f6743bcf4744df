-- jobs.sweep: delete completed tasks whose retention is over, 100 at most.
-- EFFECT idempotent
-- KEYS completed  zset    asynq:{<queue>}:completed  task id by Unix second of expiry
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks
-- ARGV now_ms   int      0: the server's clock
-- ARGV tasks    text     asynq:{<queue>}:t:
-- REPLY int     how many were deleted; 100: perhaps there are more
-- ALLOW-OOM it frees memory
-- @include clock
local now_s = math.floor(clock(now_ms) / 1000)
local ids = redis.call('ZRANGEBYSCORE', completed, '-inf', now_s, 'LIMIT', 0, 100)
for _, id in ipairs(ids) do redis.call('DEL', tasks .. id) end
if #ids > 0 then redis.call('ZREM', completed, unpack(ids)) end
return #ids
