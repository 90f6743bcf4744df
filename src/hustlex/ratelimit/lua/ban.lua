-- ratelimit.ban: ban one caller by hand, for a time; strikes and the level of the next ban stay as they are.
-- EFFECT idempotent
-- ALLOW-OOM              it keeps somebody out
-- KEYS keys...   hash    as in ratelimit.check, but only penalties
-- ARGV now_ms    int     0: the server's clock
-- ARGV length    int     of the ban, ms
-- REPLY {1}              banned
-- @include clock
local until_ms = clock(now_ms) + length
for _, key in ipairs(KEYS) do
  redis.call('HSET', key, 'until', string.format('%.0f', until_ms), 'ban', length)
  if redis.call('PTTL', key) < tonumber(length) then redis.call('PEXPIRE', key, length) end
end
return {1}
