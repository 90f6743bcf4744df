-- jobs.break_step: a step that waits can never start; its record says why, as long as it lives.
-- EFFECT idempotent
-- KEYS step  hash  asynq:{<queue>}:x:step:<id>  as in jobs.plant; why: text
-- ARGV why   text
-- REPLY {1}  noted, now or before
-- REPLY {0}  it does not wait
local found = redis.call('HMGET', step, 'phase', 'why')
if found[1] == 'broken' and found[2] == why then return {1} end
if found[1] ~= 'waits' then return {0} end
redis.call('HSET', step, 'phase', 'broken', 'why', why)
return {1}
