-- jobs.park: set a message aside that nobody can decode; left in active it would stop Go's crash recovery.
-- EFFECT idempotent
-- KEYS active  list    asynq:{<queue>}:active
-- KEYS lease   zset    asynq:{<queue>}:lease     task id by Unix second of expiry
-- KEYS parked  hash    asynq:{<queue>}:x:parked  message by id; lives for 30 days
-- TOUCHES asynq:{<queue>}:t:<id> of the task, and its lock
-- ARGV tasks    text    asynq:{<queue>}:t:
-- ARGV id       text
-- ARGV holder   text
-- REPLY {1}     parked
-- REPLY {0}     not held
-- @include release
-- @include release_lock
local message = redis.call('HGET', tasks .. id, 'msg')
if not message or not release(active, lease, tasks, id, holder) then return {0} end
redis.call('HSET', parked, id, message)
redis.call('EXPIRE', parked, 2592000)
release_lock(tasks .. id, id)
redis.call('DEL', tasks .. id)
return {1}
