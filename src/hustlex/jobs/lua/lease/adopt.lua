-- jobs.adopt: what a server holds in one queue; finds the tasks of a lease whose reply was lost. Extends their leases.
-- EFFECT idempotent
-- KEYS lease  zset    asynq:{<queue>}:lease  task id by Unix second of expiry
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks
-- ARGV now_ms   int     0: the server's clock
-- ARGV tasks    text    asynq:{<queue>}:t:
-- ARGV server   text    server id
-- REPLY <list of {id, holder, message, past}>  past: see past.lua, or {}; the newest 2000 leases are looked at
-- ALLOW-OOM a lease that lapses makes a task run twice
-- @include clock
-- @include fields
-- @include past
local until_s = math.floor(clock(now_ms) / 1000) + 30
local mine = {}
for _, id in ipairs(redis.call('ZREVRANGE', lease, 0, 1999)) do
  local task = record(tasks .. id)
  if task.owner and task.msg and task.owner:match('^[^:]+') == server then
    redis.call('ZADD', lease, 'XX', until_s, id)
    mine[#mine + 1] = {id, task.owner, task.msg, past_of(id, task) or {}}
  end
end
return mine
