-- tokens.login: open a session; at the cap, end the oldest or refuse.
-- EFFECT idempotent          the session id is the caller's: a repeat finds it made
-- KEYS record      hash      session:{<uref>}:<sid>
-- KEYS index       zset      sessions:{<uref>}, sid by absolute end
-- KEYS marker      string    jwt:revoked_before:{<uref>}
-- KEYS data        hash      session:{<uref>}:<sid>:d
-- ARGV now_ms      int       0: the server's clock
-- ARGV sid         text
-- ARGV user        text
-- ARGV client      text
-- ARGV device      text      label
-- ARGV amr         text      methods, separated by blanks
-- ARGV hash        bytes     SHA-256 of the first refresh secret
-- ARGV version     text      of the key that derives its successor
-- ARGV refresh_ms  int       from now to the absolute end
-- ARGV idle_ms     int
-- ARGV keep_ms     int       how long a record outlives its session
-- ARGV cap         int       live sessions of one user
-- ARGV evict       int       1: end the oldest at the cap; 0: refuse
-- REPLY {0, born_ms, ends_ms}   open
-- REPLY {1}                  refused: as many sessions as allowed
-- @include clock
-- @include extend
local now = clock(now_ms)
local known = redis.call('HMGET', record, 'cre', 'abs')
if known[1] then return {0, tonumber(known[1]), tonumber(known[2])} end
local over = redis.call('ZCOUNT', index, '(' .. string.format('%.0f', now), '+inf') - cap + 1
if over > 0 and evict ~= '1' then return {1} end

-- Later than the last revoke_all, also within one millisecond.
local born = math.max(now, tonumber(redis.call('GET', marker) or 0) + 1)
local ends = born + refresh_ms
redis.call('HSET', record, 'st', 'a', 'uid', user, 'cid', client, 'dn', device, 'amr', amr, 'cre', born, 'last', born,
  'auth', born, 'abs', ends, 'idle', idle_ms, 'gen', 1, 'cur', hash, 'kv', version)
extend(record, data, ends, idle_ms, now, keep_ms)

redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
if over > 0 then redis.call('ZREMRANGEBYRANK', index, 0, over - 1) end
redis.call('ZADD', index, ends, sid)
local life = ends - now + keep_ms
if redis.call('PTTL', index) < life then redis.call('PEXPIRE', index, life) end
return {0, born, ends}
