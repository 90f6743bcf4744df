-- otp.totp: accept an authenticator's code for a step that was not used yet, or count a wrong one; in one step.
-- EFFECT once
-- ALLOW-OOM it spends codes and locks subjects, which must work on a full server
-- KEYS step       string  otp:{<ref>}:totp           the last step that was used
-- KEYS fail       zset    otp:{<ref>}:fail:<lane>    <id>#0.1 -> ms
-- KEYS lock       hash    otp:{<ref>}:lock:<lane>    until (ms), level
-- KEYS grant      string  otp:{<ref>}:grant:<gid>
-- ARGV now_ms     int     0: the server's clock
-- ARGV id         text    of this call, random
-- ARGV steps      text    steps near the caller's clock that the code is right for, as ,58742101,58742102,
-- ARGV period_ms  int     length of a step
-- ARGV window     int     steps before and after the server's that are good too
-- ARGV purpose    text    goes into the grant
-- ARGV ctx        hex     digest of what is approved, or empty
-- ARGV to         text    the subject, encrypted
-- ARGV grant_ms   int     life of the grant
-- ARGV most_wrong int     wrong codes of the lane in 24 hours until it is locked
-- ARGV locks_ms... int    length of the 1st, 2nd, ... lock; the last repeats
-- REPLY {1}               right, and spent
-- REPLY {2}               a code of this step, or of a later one, was used before
-- REPLY {4}               wrong
-- REPLY {6, rest}         the lane is locked, ms
-- @include clock
-- @include lock
-- @include attempts
local now = clock(now_ms)
local rest = lock_rest(lock, now)
if rest > 0 then return {6, rest} end
local current, last, used = math.floor(now / period_ms), tonumber(redis.call('GET', step) or -1), false
if last > current + window then  -- the server's clock was set back: of steps to come, those count as used that are good now
  last = current + window
  redis.call('SET', step, string.format('%.0f', last), 'PX', period_ms * (2 * window + 2))
end
for found in string.gmatch(steps, '%d+') do
  local candidate = tonumber(found)
  if math.abs(candidate - current) <= tonumber(window) then
    if candidate > last then
      redis.call('SET', step, found, 'PX', period_ms * (2 * window + 2))
      write_grant(grant, purpose, ctx, to, '', now, grant_ms)
      return {1}
    end
    used = true
  end
end
if used then return {2} end
if count_wrong(fail, id .. '#0.1', now) >= tonumber(most_wrong) then return {6, raise_lock(lock, now, ARGV, 10)} end
return {4}
