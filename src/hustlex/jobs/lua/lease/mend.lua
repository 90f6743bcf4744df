-- jobs.mend: give a lease that has ended to tasks in active that have none, so that recovery finds them.
-- EFFECT idempotent
-- KEYS active  list    asynq:{<queue>}:active
-- KEYS lease   zset    asynq:{<queue>}:lease   task id by Unix second of expiry
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks
-- ARGV now_ms   int     0: the server's clock
-- ARGV tasks    text    asynq:{<queue>}:t:
-- REPLY int     how many were mended; ids without a task are dropped; looks at the 1000 oldest
-- ALLOW-OOM it moves tasks that exist
-- @include clock
-- @include fields
local now_s = math.floor(clock(now_ms) / 1000)
local mended = 0
for _, id in ipairs(redis.call('LRANGE', active, -1000, -1)) do
  if not redis.call('ZSCORE', lease, id) then
    mended = mended + 1
    if field(tasks .. id, 'msg') then
      redis.call('ZADD', lease, now_s, id)
    else
      redis.call('LREM', active, 0, id)
      if is_hash(tasks .. id) then redis.call('DEL', tasks .. id) end
    end
  end
end
return mended
