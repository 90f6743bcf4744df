-- jobs.unpark: put a message that was set aside into pending again, behind what is there.
-- EFFECT once
-- KEYS parked   hash  asynq:{<queue>}:x:parked  message by id
-- KEYS task     hash  asynq:{<queue>}:t:<id>
-- KEYS pending  list  asynq:{<queue>}:pending
-- ARGV now_ms   int   0: the server's clock
-- ARGV id       text
-- REPLY {1}     done
-- REPLY {0}     nothing of this id is set aside
-- REPLY {-1}    there is a task of this id
-- @include clock
local message = redis.call('HGET', parked, id)
if not message then return {0} end
if redis.call('EXISTS', task) == 1 then return {-1} end
local since = string.format('%.0f000000', clock(now_ms))
redis.call('HSET', task, 'msg', message, 'state', 'pending', 'pending_since', since)
redis.call('LPUSH', pending, id)
redis.call('HDEL', parked, id)
return {1}
