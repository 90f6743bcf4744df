-- jobs.show_schedule: one periodic entry.
-- EFFECT read
-- KEYS entries  hash  asynq:x:{schedules}:entries  as in jobs.save_schedule
-- KEYS state    hash  asynq:x:{schedules}:state    as in jobs.hold_schedule
-- KEYS static   hash  asynq:x:{schedules}:static   as in jobs.publish_schedules
-- ARGV now_ms   int   0: the server's clock
-- ARGV name     text  not empty
-- REPLY {1, now_ms, definition, state}  stored; state "": never held
-- REPLY {2, now_ms, definition, state}  in code; its definition with the time before it, as published
-- REPLY {0, now_ms}  no such entry
-- @include clock
local now, held = clock(now_ms), redis.call('HGET', state, name) or ''
local stored = redis.call('HGET', entries, name)
if stored then return {1, now, stored, held} end
local published = redis.call('HGET', static, name)
if published then return {2, now, published, held} end
return {0, now}
