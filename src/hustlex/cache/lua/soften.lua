-- cache.soften: make the entries under a tag stale: the last four bytes of its stamp change.
-- EFFECT idempotent         twice makes them no staler
-- ALLOW-OOM an invalidation that is refused leaves what is wrong in place
-- KEYS stamp       str      <prefix>ct:<tag>
-- ARGV ending      bytes    4 random bytes
-- REPLY {0}                 there was no stamp, so no entry under it counts
-- REPLY {1}                 done
if redis.call('EXISTS', stamp) == 0 then return {0} end
redis.call('SETRANGE', stamp, 12, ending)
return {1}
