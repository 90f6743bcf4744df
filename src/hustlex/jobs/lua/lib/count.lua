-- Add c to each day's counter (gone 90 days after its first) and to each total; all start anew when the first is full.
-- A counter that holds something else is passed over: what was counted has happened.
local function count(totals, days, c, now_s)
  local last = redis.pcall('GET', totals[1])
  local full = (tonumber(type(last) ~= 'table' and last or 0) or 0) + c >= 2 ^ 63
  for i, total in ipairs(totals) do
    if redis.pcall('INCRBY', days[i], c) == c then redis.call('EXPIREAT', days[i], now_s + 7776000) end
    if full then redis.call('SET', total, c) else redis.pcall('INCRBY', total, c) end
  end
end
