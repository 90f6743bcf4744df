-- Add c attempts to a day's counter (gone after 90 days) and to the total, which starts anew at the largest int64.
local function count(total, today, c, now_s)
  if redis.call('INCRBY', today, c) == c then redis.call('EXPIREAT', today, now_s + 7776000) end
  if tonumber(redis.call('GET', total) or 0) + c >= 2 ^ 63 then
    redis.call('SET', total, c)
  else
    redis.call('INCRBY', total, c)
  end
end
