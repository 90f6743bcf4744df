-- cache.epoch: what tells whether any tag was invalidated since: one random number for each of 64 groups of tags.
-- EFFECT idempotent
-- KEYS epoch       hash     <prefix>cv:groups  i: its identity; 0 to 63: the groups
-- ARGV identity    bytes    8 random bytes, for a new one
-- ARGV keep_ms     int
-- REPLY <list of bytes>     identity, then field and value of each group that was ever touched
if redis.call('EXISTS', epoch) == 0 then redis.call('HSET', epoch, 'i', identity) end
if redis.call('PTTL', epoch) < keep_ms / 2 then redis.call('PEXPIRE', epoch, keep_ms) end
return redis.call('HGETALL', epoch)
