-- idempotency.abandon: give a claim back before any effect. What was taken from another owner goes back to being
--   an orphan, because nobody knows what that one did; and so fences never start again under a live owner.
-- EFFECT idempotent
-- ALLOW-OOM it frees memory
-- KEYS record   hash   as in idempotency.begin
-- ARGV now_ms   int    0: the server's clock
-- ARGV owner    text   who began
-- REPLY {0}            not the caller's any more, or past a recovery point
-- REPLY {1}            given back
-- @include clock
local st, own, fence, point = unpack(redis.call('HMGET', record, 'st', 'own', 'fence', 'point'))
if not st then return {1} end
if st ~= 'run' or own ~= owner or point ~= 'none' then return {0} end
if fence == '1' then
  redis.call('DEL', record)
else
  redis.call('HSET', record, 'lease', clock(now_ms))
end
return {1}
