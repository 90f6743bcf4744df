-- tokens.retire_key: trust a signing key no more, from now on; if it was the one that signs, the next one signs.
-- EFFECT idempotent
-- ALLOW-OOM takes rights away
-- KEYS keys        hash      jwt:keys, generation (or x and a kid) by stage and since when
-- ARGV now_ms      int       0: the server's clock
-- ARGV name        text      a generation, or x and the kid of a configured key or an old secret
-- ARGV first       int       the generation that is active when nothing was ever moved
-- ARGV life_ms     int       how long this is remembered when nobody asks
-- REPLY {0, pairs}           name, "stage since_ms", ...
-- @include clock
-- @include stages
local now = clock(now_ms)
local gen = tonumber(name)
if not gen then
  redis.call('HSET', keys, name, string.format('removed %.0f', now))
else
  local active, published, newest, flat = stages(keys, first)
  redis.call('HDEL', keys, name)
  if gen == active then
    local heir = published or newest + 1
    move(keys, heir, 'active', now)
    move(keys, math.max(newest, heir) + 1, 'published', now)
  elseif #flat == 0 then
    move(keys, active, 'active', now)
  end
end
redis.call('PEXPIRE', keys, life_ms)
return {0, redis.call('HGETALL', keys)}
