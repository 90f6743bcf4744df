-- otp.open: what a delivery needs of an open challenge, or nothing when it is no longer worth sending.
-- EFFECT read
-- KEYS record   hash    otp:{<ref>}:<purpose>:<cid>; bound to the subject: otp:{<ref>}:<purpose>, or otp:{<ref>}
-- KEYS act      zset    otp:{<ref>}:act:<purpose>   cid -> end of life in ms; what is not in it is void
-- ARGV now_ms   int     0: the server's clock
-- ARGV cid      text    the challenge
-- ARGV least_ms int     with less life left, a message would come too late
-- REPLY {0}             unknown or void
-- REPLY {1, seed, gen, sealed, rest}   rest: life in ms
-- REPLY {2}             already used
-- REPLY {3}             expired, or about to be
-- @include clock
local now = clock(now_ms)
local st, id, seed, gen, sealed, ends = unpack(redis.call('HMGET', record, 'st', 'cid', 'seed', 'gen', 'to', 'exp'))
if id ~= cid then return {0} end
if st == 'used' then return {2} end
if ends - now < tonumber(least_ms) then return {3} end
if st ~= 'active' or not redis.call('ZSCORE', act, cid) then return {0} end
return {1, seed, tonumber(gen), sealed, ends - now}
