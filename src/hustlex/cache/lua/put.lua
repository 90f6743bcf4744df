-- cache.put: store an entry and end every computation of it, whose result would be older.
-- EFFECT idempotent         two writers race as their sets would: the last one wins
-- KEYS entry       str      <prefix>cache:<logical key>, whole as the lease's tag {<entry>}
-- KEYS lease       str      <prefix>cl:{<entry>}
-- ARGV now_ms      int      0: the server's clock
-- ARGV value       bytes    a frame with creation time 0, or bare JSON
-- ARGV px_ms       int      physical life
-- REPLY {1}                 stored
-- @include clock
if string.byte(value) == 1 then  -- a frame (frame.py): its creation time stands at byte 6; JSON never starts so
  value = string.sub(value, 1, 6) .. struct.pack('<I8', clock(now_ms)) .. string.sub(value, 15)
end
redis.call('SET', entry, value, 'PX', px_ms)
redis.call('DEL', lease)
return {1}
