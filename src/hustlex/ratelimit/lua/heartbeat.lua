-- ratelimit.heartbeat: keep a lease for another life.
-- EFFECT idempotent
-- ALLOW-OOM              it keeps a place from others; a full server must not make its holder look gone
-- KEYS key       zset    ratelimit:{<id>}:<endpoint>:c
-- ARGV now_ms    int     0: the server's clock
-- ARGV lease     text    id of the lease
-- ARGV life      int     milliseconds
-- REPLY {1}              kept
-- REPLY {2}              lost: it had ended
-- @include clock
local now = clock(now_ms)
local ends = redis.call('ZSCORE', key, lease)
if not ends or tonumber(ends) <= now then return {2} end
redis.call('ZADD', key, now + life, lease)
redis.call('PEXPIRE', key, life + 1000)
return {1}
