-- Add c to each day's counter (gone 90 days after its first) and to each total; all start anew when the first is full.
-- A counter that holds something else is passed over: what was counted has happened.
local function count(totals, days, c, now_s)
  local full = false
  for i, total in ipairs(totals) do
    if redis.pcall('INCRBY', days[i], c) == c then redis.call('EXPIREAT', days[i], now_s + 7776000) end
    local counted = redis.pcall('INCRBY', total, c)
    full = full or i == 1 and type(counted) == 'table' and counted.err:find('overflow', 1, true)
    if full then redis.call('SET', total, c) end
  end
end
