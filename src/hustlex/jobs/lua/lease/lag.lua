-- jobs.lag: how many tasks of a queue are pending, and since when the next one has been.
-- EFFECT read
-- KEYS pending  list    asynq:{<queue>}:pending
-- KEYS paused   string  asynq:{<queue>}:paused   exists while the queue is paused
-- TOUCHES asynq:{<queue>}:t:<id> of the next task
-- ARGV now_ms   int     0: the server's clock
-- ARGV tasks    text    asynq:{<queue>}:t:
-- REPLY {1, pending, wait_ms, paused}  wait_ms: 0 when nothing is pending, or nobody noted since when
-- @include clock
-- @include fields
local next_id = redis.call('LINDEX', pending, -1)
local since = tonumber(next_id and field(tasks .. next_id, 'pending_since') or '')
local wait_ms = since and math.max(clock(now_ms) - since / 1000000, 0) or 0
return {1, redis.call('LLEN', pending), string.format('%.0f', wait_ms), redis.call('EXISTS', paused)}
