-- The phone's lock, longer each time.
local function lock_rest(lock, now)
  local ended, length = unpack(redis.call('HMGET', lock, 'until', 'len'))
  local rest = (tonumber(ended) or 0) - now
  if not length or rest <= tonumber(length) then return rest end
  -- The server's clock was set back: the lock ends in its time all the same.
  redis.call('HSET', lock, 'until', string.format('%.0f', now + length))
  return tonumber(length)
end

-- Locks for the next level's time; a lock that ended a day ago is forgotten. lengths[skip + 1] is the first level's.
local function raise_lock(lock, now, lengths, skip)
  local ended, level = unpack(redis.call('HMGET', lock, 'until', 'level'))
  if not ended or ended + 86400000 <= now then level = 0 end
  level = math.min(level + 1, #lengths - skip)
  local rest = tonumber(lengths[skip + level])
  redis.call('HSET', lock, 'until', now + rest, 'len', rest, 'level', level)
  redis.call('PEXPIRE', lock, rest + 86400000)
  return rest
end
