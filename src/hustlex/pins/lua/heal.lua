-- pins.heal: a counted attempt was right: forgive it and those before it, unless another one has locked meanwhile.
-- EFFECT idempotent
-- ALLOW-OOM without it a right PIN would lock on a full server; it writes a few bytes
-- KEYS tries    hash   as in pins.attempt
-- ARGV now_ms   int    0: the server's clock
-- ARGV seq      int    the attempt's number
-- ARGV quiet_ms int    without an attempt: forgotten
-- REPLY {1}            right
-- REPLY {2, rest}      locked, ms: right or wrong is not told
-- @include clock
local now = clock(now_ms)
local ended, level, base, by, last = unpack(redis.call('HMGET', tries, 'until', 'level', 'base', 'by', 'seq'))
if not last then return {1} end
if ended and tonumber(ended) > now then
  if by ~= seq then return {2, ended - now} end
  redis.call('HSET', tries, 'until', now, 'level', level - 1, 'by', 0)
end
local forgiven = math.min(tonumber(seq), tonumber(last))
if (tonumber(base) or 0) < forgiven then redis.call('HSET', tries, 'base', forgiven) end
redis.call('PEXPIRE', tries, quiet_ms)
return {1}
