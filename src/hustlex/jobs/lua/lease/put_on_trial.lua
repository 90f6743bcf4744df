-- jobs.put_on_trial: note on a task that it is run now while the other suspects wait, so that a crash is counted for it.
-- EFFECT idempotent
-- KEYS task     hash   asynq:{<queue>}:t:<id>
-- ARGV holder   text
-- REPLY {1}     noted
-- REPLY {0}     not held
if redis.call('HGET', task, 'owner') ~= holder then return {0} end
redis.call('HSET', task, 'trial', holder)
return {1}
