-- tokens.keys: which signing keys are trusted, and in which stage each is.
-- EFFECT idempotent
-- KEYS keys        hash      jwt:keys, generation (or x and a kid) by stage and since when
-- ARGV life_ms     int       how long this is remembered when nobody asks
-- REPLY {0, pairs}           name, "stage since_ms", ...; none: nothing was ever moved
local pairs_ = redis.call('HGETALL', keys)
if #pairs_ > 0 then redis.call('PEXPIRE', keys, life_ms) end
return {0, pairs_}
