-- jobs.release_step: enqueue a step whose predecessors have all succeeded; once, whoever else does the same.
-- EFFECT idempotent
-- KEYS step       hash   asynq:{<queue>}:x:step:<id>  as in jobs.plant
-- KEYS pending    list   asynq:{<queue>}:pending
-- KEYS scheduled  zset   asynq:{<queue>}:scheduled
-- TOUCHES asynq:{<queue>}:t:<id>
-- ARGV now_ms     int    0: the server's clock
-- ARGV prefix     text   asynq:{<queue>}:
-- ARGV id         text
-- ARGV message    bytes  with the results filled in
-- ARGV life_s     int
-- REPLY {1}       enqueued
-- REPLY {0}       it was before, or can never start
-- REPLY {2}       another task has the id: it can never start
-- @include clock
-- @include place
local now = clock(now_ms)
local found = redis.call('HMGET', step, 'phase', 'due', 'then', 'need', 'wishes')
if found[1] ~= 'waits' then return {0} end
local queue = {prefix = prefix, pending = pending, scheduled = scheduled, now = now}
if type(place(queue, id, message, found[2], '', 0, '', '', found[5] or '')) == 'table' then
  redis.call('HSET', step, 'phase', 'broken', 'why', 'another task has its id')
  return {2}
end
if found[3] == '[]' then
  redis.call('DEL', step)
  return {1}
end
local spent = {'message', 'due', 'wishes', 'slots', 'need', 'got'}
for n = 0, found[4] - 1 do spent[#spent + 1] = 'in:' .. n end
redis.call('HSET', step, 'phase', 'runs')
redis.call('HDEL', step, unpack(spent))
local at_s = redis.call('ZSCORE', scheduled, id) or math.floor(now / 1000)
redis.call('EXPIRE', step, math.ceil(life_s + math.max(0, at_s - now / 1000)))
return {1}
