-- idempotency.renew: show that the owner lives, and how far it came.
-- EFFECT idempotent
-- ALLOW-OOM it keeps others from executing; a full server must not make an owner look dead
-- KEYS record    hash   as in idempotency.begin
-- ARGV now_ms    int    0: the server's clock
-- ARGV owner     text   who began
-- ARGV lease_ms  int    from now on
-- ARGV ttl_ms    int    life of the record from now on: it must not end under its owner
-- ARGV point     text   the recovery point reached; empty: as before
-- REPLY {0}             not the caller's any more
-- REPLY {1}             renewed
-- @include clock
local st, own = unpack(redis.call('HMGET', record, 'st', 'own'))
if st ~= 'run' or own ~= owner then return {0} end
redis.call('HSET', record, 'lease', clock(now_ms) + lease_ms, 'len', lease_ms)
if point ~= '' then redis.call('HSET', record, 'point', point) end
redis.call('PEXPIRE', record, ttl_ms)
return {1}
