-- idempotency.begin: claim a key for one execution, or say what became of the claim there is; in one step.
-- EFFECT idempotent       the claim carries its owner: a repeat finds it
-- KEYS record    hash    idem:{<uref>}:<route>:<key>; of an event: webhook:{<provider>}:<event>
--                        st run|done, fp, own, lease (its end, ms), len (its length), fence, point, code, big, body
--                        in parts, cre (ms), free: the end of the lease that an operator gave back, see release.lua
-- ARGV now_ms    int     0: the server's clock
-- ARGV print     bytes   a kid, a colon and what the request asks, keyed, 32 bytes; of an event empty
-- ARGV owner     text    128 random bits
-- ARGV lease_ms  int     until others may say that this owner is dead
-- ARGV ttl_ms    int     life of the record
-- ARGV over      int     whom a lapsed claim is taken from: 0 nobody, -1 anybody, else the owner with this fence
-- REPLY {0, fence, point}      the caller's: execute
-- REPLY {1, code, big, body}   executed before; body sealed, big 1: too large to keep
-- REPLY {2, rest}              being executed; ms until its lease ends, -1: it has none and lives as long as its record
-- REPLY {3, print}             the key was used for another request, or the same one under another secret: its print
-- REPLY {4, fence, point}      its owner is gone and nobody knows how far it came
-- @include clock
-- @include parts
-- As the version before wrote a print: in hex digits behind a dot.
local function former(text)
  local hex = string.gsub(string.sub(text, 8), '.', function(byte) return string.format('%02x', string.byte(byte)) end)
  return string.sub(text, 1, 6) .. '.' .. hex
end

local now = clock(now_ms)
local st, fp, own, lease, fence, point, code, big, body, len, free = unpack(redis.call(
  'HMGET', record, 'st', 'fp', 'own', 'lease', 'fence', 'point', 'code', 'big', 'body', 'len', 'free'))
if not st then
  redis.call('HSET', record, 'st', 'run', 'fp', print, 'own', owner, 'lease', now + lease_ms, 'len', lease_ms,
             'fence', 1, 'point', 'none', 'cre', now)
  redis.call('PEXPIRE', record, ttl_ms)
  return {0, 1, 'none'}
end
if fp ~= print and fp ~= former(print) then return {3, fp} end
if st == 'done' then return {1, tonumber(code), tonumber(big), joined(record, 'body', body)} end
fence = tonumber(fence)
if own == owner then return {0, fence, point} end
if not lease then return {2, -1} end
if len and lease - now > tonumber(len) then  -- the server's clock was set back: the lease ends in its time all the same
  lease = now + len
  redis.call('HSET', record, 'lease', lease)
end
if tonumber(lease) > now then return {2, lease - now} end
if tonumber(over) ~= -1 and tonumber(over) ~= fence and free ~= lease then return {4, fence, point} end
redis.call('HSET', record, 'own', owner, 'lease', now + lease_ms, 'len', lease_ms, 'fence', fence + 1)
redis.call('PEXPIRE', record, ttl_ms)
return {0, fence + 1, point}
