-- idempotency.complete: keep the answer of an execution, if it is still the caller's to give. Never overwrites one.
-- EFFECT idempotent       a repeat by the same owner is told yes and writes nothing
-- ALLOW-OOM it takes the right to execute again away; what it writes is bounded by the claims that begin let in
-- KEYS record   hash   as in idempotency.begin
-- ARGV owner    text   who began
-- ARGV code     int    status of the answer
-- ARGV big      int    1: the answer was too large to keep
-- ARGV ttl_ms   int    life of the record from now on
-- ARGV parts... bytes  the answer, sealed, as name and value, see parts.lua; none for no answer
-- REPLY {0}            not the caller's any more
-- REPLY {1}            kept
local st, own = unpack(redis.call('HMGET', record, 'st', 'own'))
if own ~= owner then return {0} end
if st == 'done' then return {1} end
redis.call('HSET', record, 'st', 'done', 'code', code, 'big', big, unpack(ARGV, 5))
redis.call('HDEL', record, 'lease', 'len')
redis.call('PEXPIRE', record, ttl_ms)
return {1}
