-- tokens.revoke_all: end every session and token of a user that exists now, in constant time; one may be kept.
-- EFFECT idempotent          a repeat is the same call, arriving later
-- ALLOW-OOM takes rights away
-- KEYS index       zset      sessions:{<uref>}
-- KEYS marker      string    jwt:revoked_before:{<uref>}
-- KEYS kept        hash      session:{<uref>}:<sid> of the session to keep, or of none
-- ARGV now_ms      int       0: the server's clock
-- ARGV sid         text      of the session to keep; empty: none
-- ARGV life_ms     int       longest life of a session and its last access token
-- REPLY {0, ended, kept, line_ms}   how many the index listed and lost; 1 when a session was kept; up to when all is void
-- @include clock
local now = clock(now_ms)
redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
local listed = redis.call('ZCARD', index)
local ends = sid ~= '' and redis.call('HGET', kept, 'st') == 'a' and redis.call('ZSCORE', index, sid)
redis.call('DEL', index)

-- Past the last marker too, so that a session born right after it, in the same millisecond, is not missed.
local line = math.max(now, tonumber(redis.call('GET', marker) or 0) + 1)
local life = line - now + life_ms
redis.call('SET', marker, string.format('%.0f', line), 'PX', life)
if not ends then return {0, listed, 0, line} end
redis.call('HSET', kept, 'ex', line)
redis.call('ZADD', index, ends, sid)
redis.call('PEXPIRE', index, life)
return {0, listed - 1, 1, line}
