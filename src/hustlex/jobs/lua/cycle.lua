-- jobs.cycle: acknowledge finished tasks of one queue and lease new ones, in one step.
-- EFFECT once
-- KEYS pending          list    asynq:{<queue>}:pending
-- KEYS paused           string  exists while the queue is paused
-- KEYS active           list
-- KEYS lease            zset    task id by Unix second of expiry
-- KEYS owners           zset    server id by the Unix second after which it counts as dead (ours; lives a day)
-- KEYS processed        int
-- KEYS processed_today  int
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks, and the uniqueness locks named in rows
-- ARGV now_ms   int     0: the server's clock
-- ARGV tasks    text    asynq:{<queue>}:t:
-- ARGV holder   text    <server id>:<number of this call>; what the leased tasks' owner field will hold
-- ARGV want     int     0 to 1000 tasks to lease
-- ARGV rows...  triples id, holder, lock ("" = none) of tasks that succeeded and are not kept
-- REPLY {0, codes, leased}  codes: a letter per row, 1 done, 0 not held; leased: id, message, id, message, ...
-- REPLY {1, codes}          paused: nothing leased
-- @include clock
-- @include count
-- @include acknowledge
-- @include take
local now_s = math.floor(clock(now_ms) / 1000)
local codes = acknowledge(ARGV, 5, now_s)
if redis.call('EXISTS', paused) == 1 then return {1, codes} end
return {0, codes, take(tonumber(want), holder, now_s)}
