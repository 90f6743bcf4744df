-- cache.getl: after a miss, read the entry again or take the lease on its computation, in one step.
-- EFFECT idempotent         the lease value names the caller: asking again finds its own lease
-- KEYS entry       str      <prefix>cache:<logical key>, whole as the lease's tag {<entry>}
-- KEYS lease       str      <prefix>cl:{<entry>}
-- ARGV lease_value str      t:<16 hex>, drawn for this computation
-- ARGV lease_ms    int      how long it lasts unless renewed
-- REPLY {0}                 the lease is the caller's
-- REPLY {1, value, left_ms} somebody stored a value meanwhile
-- REPLY {2, left_ms, kind}  somebody else's lease; kind t: computing, h: hold, c: cooldown
local value = redis.call('GET', entry)
if value then return {1, value, redis.call('PTTL', entry)} end
if redis.call('SET', lease, lease_value, 'NX', 'PX', lease_ms) then return {0} end
local holder = redis.call('GET', lease) or 't'
if holder == lease_value then return {0} end
return {2, redis.call('PTTL', lease), string.sub(holder, 1, 1)}
