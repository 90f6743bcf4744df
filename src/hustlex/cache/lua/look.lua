-- cache.look: how one entry stands, without its value; for an operator.
-- EFFECT read
-- KEYS entry       str      <prefix>cache:<logical key>, whole as the lease's tag {<entry>}
-- KEYS lease       str      <prefix>cl:{<entry>}
-- ARGV now_ms      int      0: the server's clock
-- REPLY {now, size, left_ms, head, kind, lease_ms}   bytes, 0: none; ms, negative: none; what stands before its value, at
--                           most 16 tags of 197 bytes; letter of the lease, empty: none; ms
-- @include clock
local holder, head = redis.call('GET', lease) or '', redis.call('GETRANGE', entry, 0, 3182)
local ends = 30
if bit.band(head:byte(2) or 0, 0x20) ~= 0 then
  ends = 31
  for _ = 1, head:byte(31) or 0 do ends = ends + 17 + (head:byte(ends + 1) or 0) end
end
return {clock(now_ms), redis.call('STRLEN', entry), redis.call('PTTL', entry), head:sub(1, ends),
  string.sub(holder, 1, 1), redis.call('PTTL', lease)}
