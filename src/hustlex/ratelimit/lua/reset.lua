-- ratelimit.reset: forget what one caller used of these policies, and its penalties.
-- EFFECT idempotent
-- ALLOW-OOM              it only frees memory
-- KEYS keys...   mixed   as in ratelimit.check, but without overrides
-- ARGV now_ms    int     0: the server's clock
-- ARGV starts... int     per windowed count: window in milliseconds, and when the middle one starts
-- REPLY {0, now_ms}      the server's window is not declared: correct the guess and repeat; nothing was done
-- REPLY {1, removed}     keys that existed, 0 or more
-- @include clock
local now = clock(now_ms)
for at = 2, #ARGV, 2 do
  local step = math.floor((now - ARGV[at + 1]) / ARGV[at])
  if step < 0 or step > 1 then return {0, now} end
end
return {1, redis.call('DEL', unpack(KEYS))}
