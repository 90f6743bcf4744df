-- jobs.break_step: a step that waits can never start; its record says why, as long as it lives.
-- EFFECT idempotent
-- KEYS step  hash  asynq:{<queue>}:x:step:<id>  as in jobs.plant; why: text
-- ARGV why   text
-- REPLY {1}  noted
-- REPLY {0}  it does not wait
if redis.call('HGET', step, 'phase') ~= 'waits' then return {0} end
redis.call('HSET', step, 'phase', 'broken', 'why', why)
return {1}
