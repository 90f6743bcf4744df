-- jobs.run_task: put a waiting or finished task into pending, behind what is there, its crashes forgiven.
-- EFFECT once
-- KEYS task     hash   asynq:{<queue>}:t:<id>
-- KEYS pending  list   asynq:{<queue>}:pending
-- TOUCHES asynq:{<queue>}:<state>  asynq:{<queue>}:groups  asynq:{<queue>}:g:<group>, the lock and the task that holds it
-- ARGV now_ms   int    0: the server's clock
-- ARGV id       text
-- ARGV prefix   text   asynq:{<queue>}:
-- REPLY {1}     done
-- REPLY {0}     no such task
-- REPLY {-1}    it is active
-- REPLY {-2}    it is pending already
-- REPLY {-3}    it is not where its state says
-- REPLY {-4}    it ended, and another task holds its lock
-- @include clock
-- @include leave
-- @include run_again
local found = redis.call('HMGET', task, 'state', 'group')
if not found[1] then return {0} end
if found[1] == 'active' then return {-1} end
if found[1] == 'pending' then return {-2} end
if not may_run(prefix, id, found[1]) then return {-4} end
if not leave(prefix, id, found[1], found[2]) then return {-3} end
run_again(task, id, pending, clock(now_ms))
return {1}
