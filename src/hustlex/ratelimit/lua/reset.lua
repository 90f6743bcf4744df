-- ratelimit.reset: forget what one caller used of these policies.
-- EFFECT idempotent
-- ALLOW-OOM              it only frees memory
-- KEYS keys...   mixed   as in ratelimit.check
-- ARGV now_ms    int     0: the server's clock
-- ARGV rules...  mixed   as in ratelimit.check
-- REPLY {0, now_ms}      the server's window is not declared: correct the guess and repeat; nothing was done
-- REPLY {1, removed}     keys that existed, 0 or more
-- @include counter
-- @include log
-- @include rules
local us = microseconds(now_ms)
if not read_rules(2, us) then return {0, math.floor(us / 1000)} end
return {1, redis.call('DEL', unpack(KEYS))}
