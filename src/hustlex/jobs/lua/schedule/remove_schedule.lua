-- jobs.remove_schedule: forget a stored periodic entry.
-- EFFECT idempotent
-- KEYS entries  hash  asynq:x:{schedules}:entries  as in jobs.save_schedule
-- KEYS state    hash  asynq:x:{schedules}:state    as in jobs.hold_schedule
-- KEYS static   hash  asynq:x:{schedules}:static   as in jobs.publish_schedules
-- ARGV now_ms   int   0: the server's clock
-- ARGV name     text
-- REPLY {1}     removed
-- REPLY {0}     no such entry
-- REPLY {3}     the entry is in code
-- ALLOW-OOM it frees memory
-- @include clock
-- @include bump
if name == '' or redis.call('HDEL', entries, name) == 0 then
  if redis.call('HEXISTS', static, name) == 1 then return {3} end
  return {0}
end
redis.call('HDEL', state, name)
bump(entries, clock(now_ms))
return {1}
