-- jobs.requeue: give tasks back unchanged, to run next; the last row runs first.
-- EFFECT idempotent
-- KEYS active   list    asynq:{<queue>}:active
-- KEYS lease    zset    asynq:{<queue>}:lease    task id by Unix second of expiry
-- KEYS pending  list    asynq:{<queue>}:pending
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks
-- ARGV tasks    text    asynq:{<queue>}:t:
-- ARGV rows...  pairs   id, holder
-- REPLY <text>  a letter per row: 1 given back, 0 not held
-- ALLOW-OOM it moves tasks that exist
-- @include release
local codes = {}
for i = 2, #ARGV, 2 do
  local id = ARGV[i]
  local held = release(active, lease, tasks, id, ARGV[i + 1])
  codes[#codes + 1] = held and '1' or '0'
  if held then
    redis.call('RPUSH', pending, id)
    redis.call('HSET', tasks .. id, 'state', 'pending')
    redis.call('HDEL', tasks .. id, 'owner')
  end
end
return table.concat(codes)
