-- pins.withdraw: a counted attempt was never compared, for want of a thread: as if it had not been made.
-- EFFECT once
-- ALLOW-OOM without it who was never asked would be locked on a full server; it writes a few bytes
-- KEYS tries    hash   as in pins.attempt
-- ARGV now_ms   int    0: the server's clock
-- ARGV seq      int    the attempt's number
-- ARGV most     int    attempts until it locks
-- ARGV quiet_ms int    without an attempt: forgotten
-- REPLY {1}            it does not count any more
-- @include clock
local now = clock(now_ms)
local ended, level, base, by, last = unpack(redis.call('HMGET', tries, 'until', 'level', 'base', 'by', 'seq'))
if not last then return {1} end
if by == seq and tonumber(ended) > now then
  redis.call('HSET', tries, 'until', now, 'level', level - 1, 'by', 0, 'base', seq - most + 1)
elseif (tonumber(base) or 0) < tonumber(seq) then
  redis.call('HINCRBY', tries, 'base', 1)
end
redis.call('PEXPIRE', tries, quiet_ms)
return {1}
