-- jobs.extend: lengthen the leases that a server holds in one queue, and say that it lives.
-- EFFECT idempotent
-- KEYS lease   zset    asynq:{<queue>}:lease     task id by Unix second of expiry
-- KEYS owners  zset    asynq:{<queue>}:x:owners  server id by the second it is dead after
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks
-- ARGV now_ms   int     0: the server's clock
-- ARGV tasks    text    asynq:{<queue>}:t:
-- ARGV server   text    server id
-- ARGV rows...  pairs   id, holder
-- REPLY <text>  a letter per row: 1 extended, 2 extended and cancelled meanwhile, 0 not held any more
-- ALLOW-OOM a lease that lapses makes a task run twice
-- @include clock
-- @include fields
local now_s = math.floor(clock(now_ms) / 1000)
local codes = {}
for i = 4, #ARGV, 2 do
  local task = fields(tasks .. ARGV[i], 'owner', 'canceled')
  local held = task[1] == ARGV[i + 1]
  if held then redis.call('ZADD', lease, 'XX', now_s + 30, ARGV[i]) end
  codes[#codes + 1] = held and (task[2] and '2' or '1') or '0'
end
redis.call('ZREMRANGEBYSCORE', owners, '-inf', now_s - 86400)
redis.call('ZADD', owners, now_s + 10, server)
redis.call('EXPIRE', owners, 86400)
return table.concat(codes)
