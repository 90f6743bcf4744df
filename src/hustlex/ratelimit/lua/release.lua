-- ratelimit.release: give a lease back.
-- EFFECT idempotent
-- ALLOW-OOM              it only frees memory
-- KEYS key       zset    ratelimit:{<id>}:<endpoint>:c
-- ARGV lease     text    id of the lease
-- REPLY {1}              it was held, and is free now
-- REPLY {2}              it was not held any more
return redis.call('ZREM', key, lease) == 1 and {1} or {2}
