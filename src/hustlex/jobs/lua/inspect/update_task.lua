-- jobs.update_task: put another message in the place of a scheduled task's, unless it has changed since it was read.
-- EFFECT idempotent     a repeat finds the message changed, and its caller reads it again
-- KEYS task    hash     asynq:{<queue>}:t:<id>
-- ARGV was     bytes    the message as read
-- ARGV becomes bytes
-- REPLY {1}    done
-- REPLY {0}    no such task
-- REPLY {-1}   it is not scheduled
-- REPLY {-4}   it has changed
local found = redis.call('HMGET', task, 'msg', 'state')
if not found[1] then return {0} end
if found[2] ~= 'scheduled' then return {-1} end
if found[1] ~= was then return {-4} end
redis.call('HSET', task, 'msg', becomes)
return {1}
