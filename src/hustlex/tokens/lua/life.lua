-- The feed's life: id; since (ms), from when on every notice is in it; n, how many were told; at (ms), when the last was.
-- What was told before it began, nobody can know: whoever finds it lost begins another one, with another id.
local function live(epoch, now, keep_ms)
  if redis.call('EXISTS', epoch) == 0 then
    local t = redis.call('TIME')
    redis.call('HSET', epoch, 'id', t[1] .. '.' .. t[2], 'since', string.format('%.0f', now), 'n', 0, 'at', 0)
  end
  redis.call('PEXPIRE', epoch, keep_ms + 86400000)
  return redis.call('HMGET', epoch, 'id', 'since', 'n', 'at', 'run')
end
