-- Give the stored periodic entries a new version, under the empty name: the time, and always a larger one.
local function bump(entries, now)
  local last = tonumber(redis.call('HGET', entries, '') or 0)
  redis.call('HSET', entries, '', string.format('%.0f', math.max(last + 1, now)))
end
