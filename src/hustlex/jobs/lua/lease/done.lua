-- jobs.done: acknowledge tasks that succeeded and are not kept; a repeat finds them gone and changes nothing.
-- EFFECT idempotent
-- KEYS active           list    asynq:{<queue>}:active
-- KEYS lease            zset    asynq:{<queue>}:lease            task id by Unix second of expiry
-- KEYS processed        int     asynq:{<queue>}:processed
-- KEYS processed_today  int     asynq:{<queue>}:processed:<day>
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks, asynq:{<queue>}:x:end:<id> of those awaited (x:awaited), and the locks named in rows
-- TOUCHES asynq:{<queue>}:x:ended, a list of ids
-- ARGV now_ms   int     0: the server's clock
-- ARGV tasks    text    asynq:{<queue>}:t:
-- ARGV rows...  triples id, holder, lock ("" = none)
-- REPLY <text>  a letter per row: 1 done, 0 not held
-- ALLOW-OOM it frees memory
-- @include clock
-- @include count
-- @include leave_end
-- @include acknowledge
local codes, c = acknowledge(active, lease, tasks, ARGV, 3)
if c > 0 then count({processed}, {processed_today}, c, math.floor(clock(now_ms) / 1000)) end
return codes
