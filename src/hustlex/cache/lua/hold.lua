-- cache.hold: invalidate an entry, and keep everybody from storing one for a while.
-- EFFECT idempotent
-- KEYS entry       str      <prefix>cache:<logical key>, whole as the lease's tag {<entry>}
-- KEYS lease       str      <prefix>cl:{<entry>}
-- ARGV hold_ms     int
-- REPLY {1}                 done
redis.call('DEL', entry)
redis.call('SET', lease, 'h', 'PX', hold_ms)
return {1}
