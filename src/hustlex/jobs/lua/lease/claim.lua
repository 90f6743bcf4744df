-- jobs.claim: take over tasks whose lease ended 30 s ago or more (their worker died and left no other sign).
-- EFFECT once
-- KEYS active  list    asynq:{<queue>}:active
-- KEYS lease   zset    asynq:{<queue>}:lease   task id by Unix second of expiry
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks
-- ARGV now_ms   int     0: the server's clock
-- ARGV tasks    text    asynq:{<queue>}:t:
-- ARGV holder   text    what their owner field will hold
-- REPLY <list of id, message, ...>  100 tasks at most, leased to the holder for 30 s; ids without a task are dropped
-- ALLOW-OOM it moves tasks that exist
-- @include clock
-- @include fields
local now_s = math.floor(clock(now_ms) / 1000)
local claimed = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', lease, '-inf', now_s - 30, 'LIMIT', 0, 100)) do
  local task = fields(tasks .. id, 'msg', 'state')
  if task[1] and task[2] == 'active' then
    redis.call('HSET', tasks .. id, 'owner', holder)
    redis.call('ZADD', lease, now_s + 30, id)
    claimed[#claimed + 1], claimed[#claimed + 2] = id, task[1]
  else
    redis.call('ZREM', lease, id)
    redis.call('LREM', active, 0, id)
    if not task[1] and is_hash(tasks .. id) then redis.call('DEL', tasks .. id) end
  end
end
return claimed
