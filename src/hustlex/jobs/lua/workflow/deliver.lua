-- jobs.deliver: tell a step that one of those it waits for has succeeded, and with what result.
-- EFFECT idempotent
-- KEYS step    hash   asynq:{<queue>}:x:step:<id>  as in jobs.plant
-- ARGV index   int    which of the steps before it, from 0
-- ARGV result  bytes  "" none
-- REPLY {0}    no such step: released and gone, or never there
-- REPLY {1}    it waits for others
-- REPLY {2}    it was released before, or can never start
-- REPLY {3, message, then, slots, results}  it can start; results only when slots is not empty, in order
local found = redis.call('HMGET', step, 'phase', 'need', 'message', 'then', 'slots')
if not found[1] then return {0} end
if found[1] ~= 'waits' then return {2} end
if redis.call('HSETNX', step, 'in:' .. index, result) == 1 then redis.call('HINCRBY', step, 'got', 1) end
if tonumber(redis.call('HGET', step, 'got')) < tonumber(found[2]) then return {1} end
local reply = {3, found[3], found[4], found[5]}
if found[5] ~= '[]' then
  for n = 0, found[2] - 1 do reply[#reply + 1] = redis.call('HGET', step, 'in:' .. n) or '' end
end
return reply
