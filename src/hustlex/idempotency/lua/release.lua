-- idempotency.release: give back a claim whose owner is gone, by an operator's will: the next request takes it over. The
--   record stays, so that it is the same request, goes on from the same point, and has a higher fence than the one before.
-- EFFECT idempotent
-- ALLOW-OOM it writes one number into a record that is there
-- KEYS record    hash   as in idempotency.begin
-- ARGV now_ms    int    0: the server's clock
-- ARGV fence     int    of the owner that was looked at
-- REPLY {0}             nothing is known of the key
-- REPLY {1}             given back
-- REPLY {2, rest}       its owner lives; ms until its lease ends, -1: it has none and lives as long as its record
-- REPLY {3}             it is done: its answer is repeated
-- REPLY {4}             it has another owner since
-- @include clock
local now = clock(now_ms)
local st, lease, len, held = unpack(redis.call('HMGET', record, 'st', 'lease', 'len', 'fence'))
if not st then return {0} end
if st == 'done' then return {3} end
if not lease then return {2, -1} end
local rest = math.min(lease - now, tonumber(len or lease - now))
if rest > 0 then return {2, rest} end
if held ~= fence then return {4} end
redis.call('HSET', record, 'free', lease)
return {1}
