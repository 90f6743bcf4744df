-- jobs.await_end: say that somebody waits for a task's end, so that a note of it stays.
-- EFFECT idempotent
-- KEYS task   hash    asynq:{<queue>}:t:<id>
-- KEYS waits  string  asynq:{<queue>}:x:awaited  there while somebody may wait for a task of the queue; a day
-- REPLY {1}  noted on the task
-- REPLY {0}  there is no such task
if redis.call('EXISTS', task) == 0 then return {0} end
redis.call('HSET', task, 'awaited', '1')
redis.call('SET', waits, '1', 'EX', 86400)
return {1}
