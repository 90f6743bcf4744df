-- idempotency.look: how a claim stands, for an operator; takes nothing and repairs nothing.
-- EFFECT read
-- KEYS record    hash   as in idempotency.begin
-- ARGV now_ms    int    0: the server's clock
-- REPLY {0}             nothing is known of the key
-- REPLY {1, how, rest, fence, point, code, age, left}   1: it is done, 2: an operator gave it back; rest of the lease, ms,
--                       below 0: it is over, none: it has no lease; status of the answer; ms since it was claimed; ms until it
--                       is forgotten
-- @include clock
local now = clock(now_ms)
local st, lease, len, fence, point, code, cre, free =
  unpack(redis.call('HMGET', record, 'st', 'lease', 'len', 'fence', 'point', 'code', 'cre', 'free'))
if not st then return {0} end
local rest = lease and math.min(lease - now, tonumber(len or lease - now)) or 0
return {1, st == 'done' and 1 or free and free == lease and 2 or 0, rest, tonumber(fence) or 0,
  point or '', tonumber(code) or 0, now - (tonumber(cre) or now), redis.call('PTTL', record)}
