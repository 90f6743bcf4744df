-- tokens.keys: which signing keys are trusted, and in which stage each is.
-- EFFECT idempotent
-- ALLOW-OOM                  what it may write keeps retired keys out
-- KEYS keys        hash      jwt:keys, generation (or x and a kid) by stage and since when
-- ARGV life_ms     int       how long this is remembered when nobody asks
-- ARGV known...    text      what the caller knows, in case the server has lost it: name, "stage since_ms", ...
-- REPLY {0, pairs}           name, "stage since_ms", ...; none: nothing was ever moved
if #ARGV > 1 and redis.call('EXISTS', keys) == 0 then redis.call('HSET', keys, unpack(ARGV, 2)) end
redis.call('PEXPIRE', keys, life_ms)
return {0, redis.call('HGETALL', keys)}
