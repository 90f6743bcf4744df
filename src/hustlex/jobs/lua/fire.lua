-- jobs.fire: enqueue the task of a periodic entry, once per instant however many schedulers ask.
-- EFFECT idempotent
-- KEYS pending  list    asynq:{<queue>}:pending
-- KEYS fired    string  asynq:{<queue>}:x:cron:<entry>  the last instant, in ms; lives for life_s
-- KEYS task     hash    asynq:{<queue>}:t:<id>
-- TOUCHES the task's lock, asynq:{<queue>}:unique:<type>:<digest>
-- ARGV now_ms      int    0: the server's clock
-- ARGV instant_ms  int    when the entry was due
-- ARGV life_s      int    how long the instant is remembered: until 60 days after the next one
-- ARGV id          text   the same for every scheduler: made from entry and instant
-- ARGV message     bytes
-- ARGV lock        text   uniqueness lock, "" = none
-- ARGV lock_ttl_s  int
-- REPLY {1}        enqueued
-- REPLY {0}        this instant, or a later one, was fired before
-- REPLY {2}        the queue knows a task of this id, or another task holds the lock
-- @include clock
if tonumber(redis.call('GET', fired) or 0) >= tonumber(instant_ms) then return {0} end
local taken = redis.call('EXISTS', task) == 1 or lock ~= '' and redis.call('EXISTS', lock) == 1
if not taken then redis.call('LPUSH', pending, id) end
redis.call('SET', fired, instant_ms, 'EX', life_s)
if taken then return {2} end
redis.call('HSET', task, 'msg', message, 'state', 'pending', 'pending_since', string.format('%.0f000000', clock(now_ms)))
if lock ~= '' then
  redis.call('SET', lock, id, 'EX', lock_ttl_s)
  redis.call('HSET', task, 'unique_key', lock)
end
return {1}
