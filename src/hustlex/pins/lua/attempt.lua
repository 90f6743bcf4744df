-- pins.attempt: count an attempt before its PIN is compared, or refuse it. The last one allowed locks at once, and
--   may lift that lock again when it proves right: so whatever runs beside it, no more than the cap are ever compared.
-- EFFECT once
-- ALLOW-OOM it counts guesses and locks, which must work on a full server
-- KEYS tries       hash   pin:{<uref>}:tries   seq, base (attempts up to it are forgiven), until (ms), level, by
-- ARGV now_ms      int    0: the server's clock
-- ARGV most        int    attempts until it locks
-- ARGV quiet_ms    int    without an attempt: forgotten
-- ARGV locks_ms... int    length of the 1st, 2nd, ... lock; the last repeats
-- REPLY {1, seq, left, rest}   compare; this attempt's number; attempts left; when none: the lock's length, ms
-- REPLY {2, rest}              locked, ms
-- @include clock
local now = clock(now_ms)
local ended, level, base = unpack(redis.call('HMGET', tries, 'until', 'level', 'base'))
local rest = (tonumber(ended) or 0) - now
if rest > 0 then
  local most_rest = tonumber(ARGV[3 + math.min(tonumber(level) or 1, #ARGV - 3)])
  if rest > most_rest then  -- the server's clock was set back: the lock ends in its time all the same
    rest = most_rest
    redis.call('HSET', tries, 'until', string.format('%.0f', now + rest))
  end
  return {2, rest}
end
local seq = redis.call('HINCRBY', tries, 'seq', 1)
local left = most - (seq - (tonumber(base) or 0))
if left > 0 then
  redis.call('PEXPIRE', tries, quiet_ms)
  return {1, seq, left, 0}
end
if not ended or ended + quiet_ms <= now then level = 0 end
level = math.min(level + 1, #ARGV - 3)
local lock = tonumber(ARGV[3 + level])
redis.call('HSET', tries, 'until', now + lock, 'level', level, 'by', seq, 'base', seq)
redis.call('PEXPIRE', tries, lock + quiet_ms)
return {1, seq, 0, lock}
