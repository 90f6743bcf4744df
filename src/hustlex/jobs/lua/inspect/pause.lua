-- jobs.pause: stop workers from taking tasks out of a queue.
-- EFFECT idempotent
-- KEYS paused   string  asynq:{<queue>}:paused, the Unix second since when
-- ARGV now_ms   int     0: the server's clock
-- REPLY {1}     paused now
-- REPLY {0}     was paused already
-- @include clock
local since = string.format('%.0f', math.floor(clock(now_ms) / 1000))
if redis.call('SET', paused, since, 'NX') then return {1} end
return {0}
