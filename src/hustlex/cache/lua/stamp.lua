-- cache.stamp: the stamp of a tag, made if there is none, with a life that outlasts the entry to come.
-- EFFECT idempotent         the first caller's bytes stay
-- KEYS stamp       str      <prefix>ct:<tag>
-- ARGV fresh       bytes    16 random bytes
-- ARGV needed_ms   int      how long it must live; it is lengthened only where less is left (each time would be told
--                           to every near cache)
-- REPLY <bytes>             the stamp
local value = redis.call('GET', stamp)
if value and #value == 16 then
  if redis.call('PTTL', stamp) < tonumber(needed_ms) then redis.call('PEXPIRE', stamp, 2 * needed_ms) end
  return value
end
redis.call('SET', stamp, fresh, 'PX', 2 * needed_ms)
return fresh
