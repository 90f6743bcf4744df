-- otp.consume_grant: spend a grant for its purpose and context; exactly one caller gets it.
-- EFFECT once
-- ALLOW-OOM it takes a right away
-- KEYS grant    hash    otp:{<ref>}:grant:<gid>
-- ARGV now_ms   int     0: the server's clock
-- ARGV purpose  text    what it is to be used for
-- ARGV ctx      hex     digest of what is approved, or empty
-- REPLY {0}             unknown
-- REPLY {1, sealed, uid}  granted; the phone, encrypted; the user id given at issue, or empty
-- REPLY {2}             already used
-- REPLY {3}             expired
-- REPLY {4}             for another purpose or context; not spent
-- @include clock
local now = clock(now_ms)
local about, approved, ends, sealed, uid = unpack(redis.call('HMGET', grant, 'purpose', 'ctx', 'exp', 'to', 'uid'))
if not about then return {0} end
if not sealed then return {2} end
if tonumber(ends) <= now then return {3} end
if about ~= purpose or approved ~= ctx then return {4} end
redis.call('HDEL', grant, 'to')
return {1, sealed, uid}
