-- jobs.anchor: up to which instant a periodic entry was taken care of; a new one, or a new spec, starts here and now.
-- EFFECT idempotent
-- KEYS fired     string  asynq:{<queue>}:x:cron:<entry>  the last instant, in ms; lives as long as fire says
-- KEYS timing    string  asynq:{<queue>}:x:timing:<entry>  the spec that it was anchored with last
-- ARGV now_ms    int     0: the server's clock
-- ARGV since_ms  int     from when on a new entry's instants count; 0, or over 60 days ago (its key may have been
--                        and gone): now
-- ARGV life_s    int
-- ARGV spec      text    what tells its instants
-- REPLY {1, last_ms}
-- @include clock
local now, since = clock(now_ms), tonumber(since_ms)
local before = redis.call('GET', timing)
redis.call('SET', fired, string.format('%.0f', now - since > 5184000000 and now or since), 'NX', 'EX', life_s)
if before and before ~= spec and tonumber(redis.call('GET', fired)) < now then
  redis.call('SET', fired, string.format('%.0f', now), 'EX', life_s)
end
redis.call('SET', timing, spec, 'EX', life_s + 34560000) -- a scheduler may run for a year before the next one comes
return {1, tonumber(redis.call('GET', fired))}
