-- idempotency.complete: keep the answer of an execution, if it is still the caller's to give. Never overwrites one.
-- EFFECT idempotent       a repeat by the same owner is told yes and writes nothing
-- ALLOW-OOM it takes the right to execute again away; what it writes is bounded by the claims that begin let in
-- KEYS record   hash   as in idempotency.begin
-- ARGV owner    text   who began
-- ARGV code     int    status of the answer
-- ARGV big      int    1: the answer was too large to keep
-- ARGV body     text   the answer, sealed; or empty
-- ARGV ttl_ms   int    life of the record from now on
-- REPLY {0}            not the caller's any more
-- REPLY {1}            kept
local st, own = unpack(redis.call('HMGET', record, 'st', 'own'))
if own ~= owner then return {0} end
if st == 'done' then return {1} end
redis.call('HSET', record, 'st', 'done', 'code', code, 'big', big, 'body', body)
redis.call('HDEL', record, 'lease')
redis.call('PEXPIRE', record, ttl_ms)
return {1}
