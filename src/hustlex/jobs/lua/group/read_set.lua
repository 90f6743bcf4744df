-- jobs.read_set: the tasks of an aggregation set, and until when it may be aggregated.
-- EFFECT read
-- KEYS set    zset    asynq:{<queue>}:g:<group>:<set id>  task id by the second it was added
-- KEYS sets   zset    asynq:{<queue>}:aggregation_sets
-- TOUCHES asynq:{<queue>}:t:<id> of its tasks
-- ARGV tasks  text    asynq:{<queue>}:t:
-- REPLY {1, deadline_s, pairs}  id and message of each task that exists
-- REPLY {0}   there is no such set
-- @include fields
local deadline_s = redis.call('ZSCORE', sets, set)
if not deadline_s then return {0} end
local reply = {1, tonumber(deadline_s)}
for _, id in ipairs(redis.call('ZRANGE', set, 0, -1)) do
  local message = field(tasks .. id, 'msg')
  if message then
    reply[#reply + 1] = id
    reply[#reply + 1] = message
  end
end
return reply
