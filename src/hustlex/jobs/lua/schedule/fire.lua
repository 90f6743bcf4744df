-- jobs.fire: enqueue the task of a periodic entry, once per instant however many schedulers ask.
-- EFFECT idempotent
-- KEYS pending  list    asynq:{<queue>}:pending
-- KEYS fired    string  asynq:{<queue>}:x:cron:<entry>  the last instant, in ms; lives for life_s
-- TOUCHES asynq:{<queue>}:t:<id>, its lock asynq:{<queue>}:unique:<type>:<digest>, the hash of the task that holds it
-- TOUCHES asynq:{<queue>}:x:limit  and, when it exists, all that holds unfinished tasks, and asynq:{<queue>}:x:grouped
-- ARGV now_ms      int    0: the server's clock
-- ARGV instant_ms  int    when the entry was due
-- ARGV life_s      int    how long the instant is remembered: until 60 days after the next one
-- ARGV id          text   the same for every scheduler: made from entry and instant
-- ARGV message     bytes
-- ARGV lock        text   uniqueness lock, "" = none
-- ARGV lock_ttl_s  int
-- ARGV till        text   "", "started" or "done": see jobs.enqueue
-- ARGV wishes      text   see jobs.enqueue
-- ARGV prefix      text   asynq:{<queue>}:
-- REPLY {1}        enqueued
-- REPLY {0}        this instant, or a later one, was fired before
-- REPLY {2}        the queue knows a task of this id, or another task holds the lock
-- REPLY {3}        the queue is full
-- @include clock
-- @include place
-- @include room_left
if tonumber(redis.call('GET', fired) or 0) >= tonumber(instant_ms) then return {0} end
local queue = {prefix = prefix, now = clock(now_ms), pending = pending}
queue.room, queue.limit = room_left(prefix)
local answer = place(queue, id, message, '', lock, lock_ttl_s, '', till, wishes)
redis.call('SET', fired, instant_ms, 'EX', life_s)
if answer == 1 then return {1} end
return type(answer) == 'table' and type(answer[2]) == 'number' and {3} or {2}
