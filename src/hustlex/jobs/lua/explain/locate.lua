-- jobs.locate: which of some queues know a task. In a cluster: whether one does.
-- EFFECT read
-- KEYS keys...  hash  asynq:{<queue>}:t:<id> asynq:{<queue>}:x:step:<id> asynq:{<queue>}:x:parked, and so on for each queue
-- ARGV id       text
-- REPLY {1, numbers...}  of those that do, from 0 on
local reply = {1}
for i = 1, #KEYS, 3 do
  local known = redis.pcall('HEXISTS', KEYS[i], 'state') == 1 or redis.pcall('HEXISTS', KEYS[i + 1], 'phase') == 1
  if known or redis.pcall('HEXISTS', KEYS[i + 2], id) == 1 then reply[#reply + 1] = (i - 1) / 3 end
end
return reply
