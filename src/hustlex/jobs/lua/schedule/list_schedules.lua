-- jobs.list_schedules: all periodic entries, unless nothing changed since a version.
-- EFFECT read
-- KEYS entries  hash  asynq:x:{schedules}:entries  as in jobs.save_schedule
-- KEYS state    hash  asynq:x:{schedules}:state    as in jobs.hold_schedule
-- KEYS static   hash  asynq:x:{schedules}:static   as in jobs.publish_schedules
-- ARGV now_ms   int   0: the server's clock
-- ARGV known    text  version seen before, "" = none
-- REPLY {0, now_ms}  nothing changed
-- REPLY {1, now_ms, version, entries, state, static}  the last three flat: name, value, ...
-- @include clock
local now, version = clock(now_ms), redis.call('HGET', entries, '') or '0'
if version == known then return {0, now} end
return {1, now, version, redis.call('HGETALL', entries), redis.call('HGETALL', state), redis.call('HGETALL', static)}
