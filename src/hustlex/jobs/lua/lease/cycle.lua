-- jobs.cycle: acknowledge tasks of one queue that succeeded and are not kept, and lease new ones, in one step.
-- EFFECT once
-- KEYS pending          list    asynq:{<queue>}:pending
-- KEYS paused           any     asynq:{<queue>}:paused           exists while the queue is paused
-- KEYS active           list    asynq:{<queue>}:active
-- KEYS lease            zset    asynq:{<queue>}:lease            task id by Unix second of expiry
-- KEYS owners           zset    asynq:{<queue>}:x:owners         server id by the second it is dead after
-- KEYS processed        int     asynq:{<queue>}:processed
-- KEYS processed_today  int     asynq:{<queue>}:processed:<day>
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks, asynq:{<queue>}:x:end:<id> of those awaited (x:awaited), and the locks named in rows
-- TOUCHES asynq:{<queue>}:x:ended, a list of ids
-- ARGV now_ms   int     0: the server's clock
-- ARGV tasks    text    asynq:{<queue>}:t:
-- ARGV holder   text    <server id>:<number of this call>: what the leased tasks' owner field will hold
-- ARGV want     int     0 to 1000 tasks to lease
-- ARGV rows...  triples id, holder, lock ("" = none)
-- REPLY {0, codes, leased, pasts, waited_ms}  codes: a letter per row, 1 done, 0 not held; leased: id, message, id, message, ...
--                                  pasts: of those leased that have one, see past.lua; waited_ms: how long the
--                                  first of them was pending, -1: nobody knows
-- REPLY {1, codes}                 paused: nothing leased
-- @include clock
-- @include count
-- @include leave_end
-- @include acknowledge
-- @include lease_tasks
local now = clock(now_ms)
local now_s = math.floor(now / 1000)
local codes, c = acknowledge(active, lease, tasks, ARGV, 5)
if c > 0 then count({processed}, {processed_today}, c, now_s) end
if redis.call('EXISTS', paused) == 1 then return {1, codes} end
return {0, codes, lease_tasks(pending, active, lease, owners, tasks, holder, tonumber(want), now)}
