-- cache.expire: make an entry stale, as if its ttl had passed, and end computations of it.
-- EFFECT idempotent
-- KEYS entry       str      <prefix>cache:<logical key>, whole as the lease's tag {<entry>}
-- KEYS lease       str      <prefix>cl:{<entry>}
-- REPLY {0}                 nothing was there, or bare JSON, which is gone now
-- REPLY {1}                 stale
redis.call('DEL', lease)
local first = redis.call('GETRANGE', entry, 0, 0)
if first ~= string.char(1) or redis.call('STRLEN', entry) < 30 then
  redis.call('DEL', entry)
  return {0}
end
redis.call('SETRANGE', entry, 14, string.rep(string.char(0), 4))  -- the frame's fresh time
return {1}
