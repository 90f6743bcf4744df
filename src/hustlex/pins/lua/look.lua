-- pins.look: how a user's attempts stand, for an operator; counts nothing and repairs nothing.
-- EFFECT read
-- KEYS tries     hash   as in pins.attempt
-- ARGV now_ms    int    0: the server's clock
-- ARGV quiet_ms  int    without an attempt: forgotten
-- REPLY {0}                     nothing is known: no attempt for as long
-- REPLY {1, wrong, rest, level} wrong attempts since the last right one, reset or lock; rest of the lock, ms; the locks in a row
-- @include clock
local now = clock(now_ms)
local seq, base, ended, level = unpack(redis.call('HMGET', tries, 'seq', 'base', 'until', 'level'))
if not seq then return {0} end
local rest = math.max(0, (tonumber(ended) or 0) - now)
if not ended or ended + quiet_ms <= now then level = 0 end
return {1, seq - (tonumber(base) or 0), rest, tonumber(level) or 0}
