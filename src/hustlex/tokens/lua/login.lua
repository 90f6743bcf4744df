-- tokens.login: open a session; at the cap, end the oldest or refuse.
-- EFFECT idempotent          the session id is the caller's: a repeat finds it made
-- KEYS record      hash      session:{<uref>}:<sid>
-- KEYS index       zset      sessions:{<uref>}, sid by absolute end
-- KEYS marker      string    jwt:revoked_before:{<uref>}
-- KEYS data        hash      session:{<uref>}:<sid>:d
-- ARGV now_ms      int       0: the server's clock
-- ARGV sid         text
-- ARGV refresh_ms  int       from now to the absolute end
-- ARGV idle_ms     int
-- ARGV keep_ms     int       how long a record outlives its session
-- ARGV cap         int       live sessions of one user
-- ARGV evict       int       1: end the oldest at the cap; 0: refuse
-- ARGV fields...   text      name, value, ...: who logged in and how, and the hash of the first refresh secret
-- REPLY {0, born_ms, ends_ms, evicted}   open; the ids of the sessions that were ended for it
-- REPLY {1}                  refused: as many sessions as allowed
-- @include clock
-- @include extend
local now = clock(now_ms)
local known = redis.call('HMGET', record, 'cre', 'abs')
if known[1] then return {0, tonumber(known[1]), tonumber(known[2]), {}} end
local over = redis.call('ZCOUNT', index, '(' .. string.format('%.0f', now), '+inf') - cap + 1
if over > 0 and evict ~= '1' then return {1} end

-- Later than the last revoke_all, also within one millisecond.
local born = math.max(now, tonumber(redis.call('GET', marker) or 0) + 1)
local ends = born + refresh_ms
redis.call('HSET', record, 'st', 'a', 'cre', born, 'last', born, 'auth', born, 'abs', ends, 'idle', idle_ms, 'gen', 1,
  unpack(ARGV, 8))
extend(record, data, ends, idle_ms, now, keep_ms)

redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
local evicted = over > 0 and redis.call('ZRANGE', index, 0, over - 1) or {}
if over > 0 then redis.call('ZREMRANGEBYRANK', index, 0, over - 1) end
redis.call('ZADD', index, ends, sid)
local life = ends - now + keep_ms
if redis.call('PTTL', index) < life then redis.call('PEXPIRE', index, life) end
return {0, born, ends, evicted}
