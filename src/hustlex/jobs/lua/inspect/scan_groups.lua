-- jobs.scan_groups: some of a queue's groups, and what is being aggregated. Costs the same however many there are.
-- EFFECT read
-- KEYS groups   set    asynq:{<queue>}:groups
-- KEYS sets     zset   asynq:{<queue>}:aggregation_sets  a set's key by the second of its deadline
-- TOUCHES asynq:{<queue>}:g:<group>
-- ARGV members  text   asynq:{<queue>}:g:
-- ARGV cursor   text   0: from the first
-- ARGV count    int    about so many groups
-- REPLY {1, cursor, number, aggregating, rows}  cursor: of those that follow, 0 = none; number: of all groups;
--                      aggregating: sets taken; rows: name, size, second in which the oldest came, and the newest ("" none)
local page = redis.call('SSCAN', groups, cursor, 'COUNT', count)
local reply = {1, page[1], redis.call('SCARD', groups), redis.call('ZCARD', sets)}

local function came(key, rank)
  local found = redis.pcall('ZRANGE', key, rank, rank, 'WITHSCORES')
  return found[2] or ''
end

for _, name in ipairs(page[2]) do
  local key = members .. name
  local size = redis.pcall('ZCARD', key)
  local row = {name, type(size) == 'number' and size or 0, came(key, 0), came(key, -1)}
  for _, value in ipairs(row) do reply[#reply + 1] = value end
end
return reply
