-- jobs.delete_task: remove a task that is not active, and its uniqueness lock.
-- EFFECT once
-- KEYS task     hash   asynq:{<queue>}:t:<id>
-- TOUCHES asynq:{<queue>}:<state>  asynq:{<queue>}:groups  asynq:{<queue>}:g:<group>  the task's lock
-- TOUCHES asynq:{<queue>}:x:ended, so that an earlier end of this id is not taken for one of this task
-- ARGV id       text
-- ARGV prefix   text   asynq:{<queue>}:
-- REPLY {1}     done
-- REPLY {0}     no such task
-- REPLY {-1}    it is active
-- REPLY {-3}    it is not where its state says
-- ALLOW-OOM it frees memory
-- @include leave
-- @include release_lock
local found = redis.call('HMGET', task, 'state', 'group')
if not found[1] then return {0} end
if found[1] == 'active' then return {-1} end
if not leave(prefix, id, found[1], found[2]) then return {-3} end
release_lock(task, id)
redis.call('DEL', task, prefix .. 'x:ended')
return {1}
