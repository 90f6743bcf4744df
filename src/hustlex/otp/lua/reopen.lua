-- How a breaker ends, see breaker.lua.
local function reopen(key) redis.call('HDEL', key, 'next', 'since', 'human', 'probes', 'wins') end

local function forget_hour(key, fields)
  for name in pairs(fields) do
    if string.match(name, '^[sv]%d+$') then redis.call('HDEL', key, name) end
  end
end

-- Enough verified probes: what was counted before is forgotten with the bad hour, or it would trip again at once.
local function win(key, fields, wins, enough, percent)
  if not fields.next then return end
  local won = redis.call('HINCRBY', key, 'wins', wins)
  if won < enough or won * 100 < percent * (fields.probes or 0) then return end
  reopen(key)
  forget_hour(key, fields)
end
