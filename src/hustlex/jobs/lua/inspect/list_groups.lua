-- jobs.list_groups: the groups of a queue and how many tasks wait in each.
-- EFFECT read
-- KEYS groups   set    asynq:{<queue>}:groups
-- TOUCHES asynq:{<queue>}:g:<group>
-- ARGV members  text   asynq:{<queue>}:g:
-- REPLY {1, pairs}     name, size
local reply = {1}
for _, name in ipairs(redis.call('SMEMBERS', groups)) do
  reply[#reply + 1] = name
  local size = redis.pcall('ZCARD', members .. name)
  reply[#reply + 1] = type(size) == 'number' and size or 0
end
return reply
