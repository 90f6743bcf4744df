-- cache.cool: turn a lease whose computation failed into a time in which nobody tries.
-- EFFECT idempotent
-- KEYS lease       str      <prefix>cl:{<entry>}
-- ARGV lease_value str      as given to cache.getl
-- ARGV cooldown_ms int
-- REPLY {0}                 it was not the caller's any more
-- REPLY {1}                 done
if redis.call('GET', lease) ~= lease_value then return {0} end
redis.call('SET', lease, 'c', 'PX', cooldown_ms)
return {1}
