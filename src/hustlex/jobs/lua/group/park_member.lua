-- jobs.park_member: set aside a message of an aggregation set that nobody can decode, Go's aggregators included.
-- EFFECT idempotent
-- KEYS set     zset  asynq:{<queue>}:g:<group>:<set id>
-- KEYS parked  hash  asynq:{<queue>}:x:parked  message by id; lives for 30 days
-- KEYS task    hash  asynq:{<queue>}:t:<id>
-- ARGV id      text
-- REPLY {1}    parked
-- REPLY {0}    it is not in the set
if redis.call('ZREM', set, id) == 0 then return {0} end
local message = redis.call('HGET', task, 'msg')
if message then
  redis.call('HSET', parked, id, message)
  redis.call('EXPIRE', parked, 2592000)
end
redis.call('DEL', task)
return {1}
