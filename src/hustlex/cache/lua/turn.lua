-- cache.turn: tell computations whose tags are not known yet that tags of these groups are about to be invalidated.
-- EFFECT idempotent
-- ALLOW-OOM an invalidation that is refused leaves what is wrong in place
-- KEYS epoch       hash     as in cache.epoch
-- ARGV identity    bytes    8 random bytes, for a new one
-- ARGV keep_ms     int
-- ARGV mark        bytes    random
-- ARGV groups...   int      0 to 63
-- REPLY {1}                 done
if redis.call('EXISTS', epoch) == 0 then redis.call('HSET', epoch, 'i', identity) end
for n = 4, #ARGV do redis.call('HSET', epoch, ARGV[n], mark) end
redis.call('PEXPIRE', epoch, keep_ms)
return {1}
