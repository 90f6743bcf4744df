-- A sliding window of starts: a list of their times in ms, oldest first, gone when the newest has left the window.
-- window_room: how many more may start now, and in how many ms the next one may when those have.
local function window_room(starts, limit, per_ms, now)
  local over
  repeat
    local oldest = redis.call('LRANGE', starts, 0, 99)
    over = 0
    while oldest[over + 1] and tonumber(oldest[over + 1]) <= now - per_ms do over = over + 1 end
    if over > 0 then redis.call('LTRIM', starts, over, -1) end
  until over < 100
  local used = redis.call('LLEN', starts)
  local first_out = redis.call('LINDEX', starts, math.max(used - limit, 0)) or now
  return math.max(limit - used, 0), first_out + per_ms - now
end

local function window_note(starts, per_ms, now, n)
  local times = {}
  for i = 1, n do times[i] = string.format('%.0f', now) end
  if n > 0 then
    redis.call('RPUSH', starts, unpack(times))
    redis.call('PEXPIRE', starts, per_ms)
  end
end
