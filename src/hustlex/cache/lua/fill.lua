-- cache.fill: store a computed entry if its lease still stands, and give the lease back.
-- EFFECT idempotent         a repeat finds no lease and answers 0, which only costs a computation
-- KEYS entry       str      <prefix>cache:<logical key>, whole as the lease's tag {<entry>}
-- KEYS lease       str      <prefix>cl:{<entry>}
-- ARGV lease_value str      as given to cache.getl
-- ARGV now_ms      int      0: the server's clock
-- ARGV value       bytes    a frame with creation time 0, or bare JSON
-- ARGV px_ms       int      physical life
-- REPLY {0}                 not stored: invalidated, or the lease ran out
-- REPLY {1}                 stored; proves that no invalidation ran since the lease was taken
-- @include clock
if redis.call('GET', lease) ~= lease_value then return {0} end
if string.byte(value) == 1 then  -- a frame (frame.py): its creation time stands at byte 6; JSON never starts so
  value = string.sub(value, 1, 6) .. struct.pack('<I8', clock(now_ms)) .. string.sub(value, 15)
end
redis.call('SET', entry, value, 'PX', px_ms)
redis.call('DEL', lease)
return {1}
