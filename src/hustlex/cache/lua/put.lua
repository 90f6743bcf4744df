-- cache.put: store an entry and end every computation of it, whose result would be older.
-- EFFECT idempotent         two writers race as their sets would: the last one wins, or the higher version
-- KEYS entry       str      <prefix>cache:<logical key>, whole as the lease's tag {<entry>}
-- KEYS lease       str      <prefix>cl:{<entry>}
-- ARGV now_ms      int      0: the server's clock
-- ARGV value       bytes    a frame with creation time 0, or bare JSON
-- ARGV px_ms       int      physical life
-- ARGV version     int      0: whatever is there
-- REPLY {0}                 not stored: what is there has a higher version
-- REPLY {1}                 stored
-- @include clock
local function version_of(stored)
  if not stored or #stored < 30 or string.byte(stored) ~= 1 then return 0 end
  return struct.unpack('<I8', string.sub(stored, 23, 30))
end
if tonumber(version) > 0 and version_of(redis.call('GET', entry)) > tonumber(version) then return {0} end
if string.byte(value) == 1 then  -- a frame (frame.py): its creation time stands at byte 6; JSON never starts so
  value = string.sub(value, 1, 6) .. struct.pack('<I8', clock(now_ms)) .. string.sub(value, 15)
end
redis.call('SET', entry, value, 'PX', px_ms)
redis.call('DEL', lease)
return {1}
