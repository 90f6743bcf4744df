-- tokens.rotate_keys: move the derived signing keys one stage on, where it is time.
-- EFFECT idempotent          a repeat finds the time not come
-- KEYS keys        hash      jwt:keys, generation by stage and since when
-- ARGV now_ms      int       0: the server's clock
-- ARGV first       int       the generation that is active when nothing was ever moved
-- ARGV wait_ms     int       a key is published this long before it signs
-- ARGV keep_ms     int       a key verifies this long after it signed last
-- ARGV life_ms     int       how long this is remembered when nobody asks
-- REPLY {0, pairs, moved}    name, "stage since_ms", ...; 1 when another key signs now
-- @include clock
-- @include stages
local now = clock(now_ms)
local active, published, newest, flat = stages(keys, first)
for n = 1, #flat, 2 do
  local since = flat[n + 1]:match('^retired (%d+)$')
  if since and now - since >= tonumber(keep_ms) then redis.call('HDEL', keys, flat[n]) end
end
local moved = 0
if redis.call('HEXISTS', keys, string.format('%.0f', active)) == 0 then move(keys, active, 'active', now) end
if not published then
  move(keys, newest + 1, 'published', now)
else
  local since = redis.call('HGET', keys, string.format('%.0f', published)):match('(%d+)$')
  if now - since >= tonumber(wait_ms) then
    move(keys, active, 'retired', now)
    move(keys, published, 'active', now)
    move(keys, newest + 1, 'published', now)
    moved = 1
  end
end
redis.call('PEXPIRE', keys, life_ms)
return {0, redis.call('HGETALL', keys), moved}
