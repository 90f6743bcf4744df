-- jobs.run_task: put a waiting or finished task into pending, behind what is there, its crashes forgiven.
-- EFFECT once
-- KEYS task     hash   asynq:{<queue>}:t:<id>
-- KEYS pending  list   asynq:{<queue>}:pending
-- TOUCHES asynq:{<queue>}:<state>  asynq:{<queue>}:groups  asynq:{<queue>}:g:<group>
-- ARGV now_ms   int    0: the server's clock
-- ARGV id       text
-- ARGV prefix   text   asynq:{<queue>}:
-- REPLY {1}     done
-- REPLY {0}     no such task
-- REPLY {-1}    it is active
-- REPLY {-2}    it is pending already
-- REPLY {-3}    it is not where its state says
-- @include clock
-- @include leave
local found = redis.call('HMGET', task, 'state', 'group')
if not found[1] then return {0} end
if found[1] == 'active' then return {-1} end
if found[1] == 'pending' then return {-2} end
if not leave(prefix, id, found[1], found[2]) then return {-3} end
redis.call('HSET', task, 'state', 'pending', 'pending_since', string.format('%.0f000000', clock(now_ms)))
redis.call('HDEL', task, 'crashes', 'trial', 'parked_at', 'canceled', 'expires_at')
redis.call('LPUSH', pending, id)
return {1}
