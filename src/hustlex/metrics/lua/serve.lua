-- metrics.serve: say how many live connections a process serves now, instead of what it said before.
-- EFFECT idempotent
-- KEYS served   zset   <prefix>x:{rooms}:served: a process and its numbers, by when it said so, Unix ms
-- ARGV now_ms   int    0: the server's clock
-- ARGV before   text   what it said before; "" = nothing
-- ARGV told     text   what it says now; "" = it serves none any more
-- REPLY {1}
-- @include clock
local now = clock(now_ms)
if before ~= '' then redis.call('ZREM', served, before) end
if told ~= '' then redis.call('ZADD', served, now, told) end
redis.call('ZREMRANGEBYSCORE', served, '-inf', now - 60000)
redis.call('ZREMRANGEBYRANK', served, 0, -1001)
redis.call('PEXPIRE', served, 60000)
return {1}
