-- The phone's lock, longer each time.
local function lock_rest(lock, now)
  return (tonumber(redis.call('HGET', lock, 'until')) or 0) - now
end

-- Locks for the next level's time; a lock that ended a day ago is forgotten. lengths[skip + 1] is the first level's.
local function raise_lock(lock, now, lengths, skip)
  local ended, level = unpack(redis.call('HMGET', lock, 'until', 'level'))
  if not ended or ended + 86400000 <= now then level = 0 end
  level = math.min(level + 1, #lengths - skip)
  local rest = tonumber(lengths[skip + level])
  redis.call('HSET', lock, 'until', now + rest, 'level', level)
  redis.call('PEXPIRE', lock, rest + 86400000)
  return rest
end
