-- cache.renew: keep a lease alive while its computation runs.
-- EFFECT idempotent
-- KEYS lease       str      <prefix>cl:{<entry>}
-- ARGV lease_value str      as given to cache.getl
-- ARGV lease_ms    int      life from now
-- REPLY {0}                 it is gone: the result will not be stored
-- REPLY {1}                 renewed
if redis.call('GET', lease) ~= lease_value then return {0} end
redis.call('PEXPIRE', lease, lease_ms)
return {1}
