-- pins.reset: forgive all attempts and lift the lock. Numbers go on, so that what is being compared stays known.
-- EFFECT idempotent
-- ALLOW-OOM it only changes or removes what is there
-- KEYS tries    hash   as in pins.attempt
-- ARGV quiet_ms int    without an attempt: forgotten
-- REPLY {0}            there was nothing
-- REPLY {1}            done
local seq = redis.call('HGET', tries, 'seq')
if not seq then return {0} end
redis.call('HSET', tries, 'base', seq)
redis.call('HDEL', tries, 'until', 'level', 'by')
redis.call('PEXPIRE', tries, quiet_ms)
return {1}
