-- cache.release: give a lease back, if it is still the caller's.
-- EFFECT idempotent
-- KEYS lease       str      <prefix>cl:{<entry>}
-- ARGV lease_value str      as given to cache.getl
-- REPLY {0}                 it was not
-- REPLY {1}                 it was; proves that no invalidation ran since the lease was taken
if redis.call('GET', lease) ~= lease_value then return {0} end
redis.call('DEL', lease)
return {1}
