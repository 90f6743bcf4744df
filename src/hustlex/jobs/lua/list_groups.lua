-- jobs.list_groups: the groups of a queue and how many tasks wait in each.
-- EFFECT read
-- KEYS groups   set    asynq:{<queue>}:groups
-- TOUCHES asynq:{<queue>}:g:<group>
-- ARGV members  text   asynq:{<queue>}:g:
-- REPLY {1, pairs}     name, size
local reply = {1}
for _, name in ipairs(redis.call('SMEMBERS', groups)) do
  reply[#reply + 1] = name
  reply[#reply + 1] = redis.call('ZCARD', members .. name)
end
return reply
