-- jobs.hold_schedule: pause a periodic entry, or let it go on; the instants meanwhile are not made up for.
-- EFFECT idempotent
-- KEYS entries  hash  asynq:x:{schedules}:entries  as in jobs.save_schedule
-- KEYS state    hash  asynq:x:{schedules}:state    by name: -1 paused, else the ms from which on instants count;
--                                                  20,000 at most
-- KEYS static   hash  asynq:x:{schedules}:static   as in jobs.publish_schedules
-- ARGV now_ms   int   0: the server's clock
-- ARGV name     text
-- ARGV paused   int   1: pause, 0: go on
-- ARGV most     int   how many states may be stored
-- REPLY {1}     done
-- REPLY {0}     it was so already
-- REPLY {2}     full
-- REPLY {4}     no such entry
-- @include clock
-- @include bump
local now, current = clock(now_ms), redis.call('HGET', state, name)
local known = name ~= '' and redis.call('HEXISTS', entries, name) + redis.call('HEXISTS', static, name) > 0
if not known and not current then return {4} end
if (paused == '1') == (current == '-1') then return {0} end
if not current and redis.call('HLEN', state) >= tonumber(most) then return {2} end
redis.call('HSET', state, name, paused == '1' and '-1' or string.format('%.0f', now))
bump(entries, now)
return {1}
