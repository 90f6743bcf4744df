-- cache.look: how one entry stands, without its value; for an operator.
-- EFFECT read
-- KEYS entry       str      <prefix>cache:<logical key>, whole as the lease's tag {<entry>}
-- KEYS lease       str      <prefix>cl:{<entry>}
-- ARGV now_ms      int      0: the server's clock
-- REPLY {now, size, left_ms, head, kind, lease_ms}   bytes, 0: none; ms, negative: none; its first 30 bytes; letter of the
--                           lease, empty: none; ms
-- @include clock
local holder = redis.call('GET', lease) or ''
return {clock(now_ms), redis.call('STRLEN', entry), redis.call('PTTL', entry), redis.call('GETRANGE', entry, 0, 29),
  string.sub(holder, 1, 1), redis.call('PTTL', lease)}
