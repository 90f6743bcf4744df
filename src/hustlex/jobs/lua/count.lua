-- Add c to each day's counter (gone 90 days after its first) and to each total; all start anew when the first is full.
local function count(totals, days, c, now_s)
  local full = tonumber(redis.call('GET', totals[1]) or 0) + c >= 2 ^ 63
  for i, total in ipairs(totals) do
    if redis.call('INCRBY', days[i], c) == c then redis.call('EXPIREAT', days[i], now_s + 7776000) end
    if full then redis.call('SET', total, c) else redis.call('INCRBY', total, c) end
  end
end
