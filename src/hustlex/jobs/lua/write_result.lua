-- jobs.write_result: keep what a running task has to show; the last one wins.
-- EFFECT idempotent
-- KEYS task     hash   asynq:{<queue>}:t:<id>
-- ARGV result   bytes
-- REPLY {1}     kept
-- REPLY {0}     the task is not running any more; nothing was written (Go would leave a stray hash)
if redis.call('HGET', task, 'state') ~= 'active' then return {0} end
redis.call('HSET', task, 'result', result)
return {1}
