-- jobs.archive_task: put a task that is not active into the archive; its message stays as it is.
-- EFFECT once
-- KEYS task      hash   asynq:{<queue>}:t:<id>
-- KEYS archived  zset   asynq:{<queue>}:archived
-- TOUCHES asynq:{<queue>}:<state>  asynq:{<queue>}:groups  asynq:{<queue>}:g:<group>  tasks that are trimmed
-- TOUCHES the task's lock, asynq:{<queue>}:unique:<type>:<digest>
-- ARGV now_ms    int    0: the server's clock
-- ARGV id        text
-- ARGV prefix    text   asynq:{<queue>}:
-- REPLY {1}      done
-- REPLY {0}      no such task
-- REPLY {-1}     it is active
-- REPLY {-2}     it is archived already
-- REPLY {-3}     it is not where its state says
-- @include clock
-- @include leave
-- @include end_lock
-- @include trim_archived
local found = redis.call('HMGET', task, 'state', 'group')
if not found[1] then return {0} end
if found[1] == 'active' then return {-1} end
if found[1] == 'archived' then return {-2} end
if not leave(prefix, id, found[1], found[2]) then return {-3} end
local now_s = math.floor(clock(now_ms) / 1000)
redis.call('ZADD', archived, string.format('%.0f', now_s), id)
redis.call('HSET', task, 'state', 'archived')
redis.call('HDEL', task, 'pending_since')
end_lock(task, id)
trim_archived(archived, prefix .. 't:', now_s, 9999, 7776000)
return {1}
