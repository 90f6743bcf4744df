-- otp.consume_grant: spend a grant for its purpose and context; exactly one caller gets it.
-- EFFECT once
-- ALLOW-OOM it takes a right away
-- KEYS grant    string  otp:{<ref>}:grant:<gid>   <end, ms>|<purpose>|<ctx>|#<length>|<the phone, encrypted, so long><uid>;
--                      older ones <end>|<purpose>|<ctx>|<the phone, encrypted>|<uid>; empty: spent
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
local held = redis.call('GET', grant)
if not held then return {0} end
if held == '' then return {2} end
local ends, about, approved, sealed, uid = string.match(held, '^(%d+)|([^|]*)|([^|]*)|([^|]*)|(.*)$')
if tonumber(ends) <= now then return {3} end
if about ~= purpose or approved ~= ctx then return {4} end
local length = tonumber(string.match(sealed, '^#(%d+)$'))
if length then sealed, uid = string.sub(uid, 1, length), string.sub(uid, length + 1) end
redis.call('SET', grant, '', 'KEEPTTL')
return {1, sealed, uid}
