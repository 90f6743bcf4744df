-- jobs.cycle_limited: jobs.cycle for a queue with limits: of tasks in active, whoever holds them, and of leases in time.
-- EFFECT once
-- KEYS pending          list    asynq:{<queue>}:pending
-- KEYS paused           any     asynq:{<queue>}:paused           exists while the queue is paused
-- KEYS active           list    asynq:{<queue>}:active
-- KEYS lease            zset    asynq:{<queue>}:lease            task id by Unix second of expiry
-- KEYS owners           zset    asynq:{<queue>}:x:owners         server id by the second it is dead after
-- KEYS processed        int     asynq:{<queue>}:processed
-- KEYS processed_today  int     asynq:{<queue>}:processed:<day>
-- KEYS starts           list    asynq:{<queue>}:x:starts         Unix ms of each lease in the window, gone after it
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks, asynq:{<queue>}:x:end:<id> of those awaited (x:awaited), and the locks named in rows
-- TOUCHES asynq:{<queue>}:x:ended, a list of ids
-- ARGV now_ms   int     0: the server's clock
-- ARGV tasks    text    asynq:{<queue>}:t:
-- ARGV holder   text    <server id>:<number of this call>: what the leased tasks' owner field will hold
-- ARGV want     int     1 to 1000 tasks to lease
-- ARGV most     int     tasks in active at once, 0: any number
-- ARGV limit    int     leases in any window, 0: any number
-- ARGV per_ms   int     length of the window
-- ARGV rows...  triples id, holder, lock ("" = none)
-- REPLY {0, codes, leased, pasts, waited_ms}  as in jobs.cycle: all that was wanted, or all there was
-- REPLY {1, codes}                          paused: nothing leased
-- REPLY {2, codes, leased, pasts, waited_ms, wait_ms}  limited, and more are pending; wait_ms -1: until a task ends, else
--                                           until the window has room
-- @include clock
-- @include count
-- @include leave_end
-- @include acknowledge
-- @include lease_tasks
-- @include window
local now, wanted = clock(now_ms), tonumber(want)
local now_s = math.floor(now / 1000)
local codes, c = acknowledge(active, lease, tasks, ARGV, 8)
if c > 0 then count({processed}, {processed_today}, c, now_s) end
if redis.call('EXISTS', paused) == 1 then return {1, codes} end

local n, wait_ms = wanted, 0
if tonumber(limit) > 0 then
  local room, wait = window_room(starts, tonumber(limit), tonumber(per_ms), now)
  if room < n then n, wait_ms = room, wait end
end
if tonumber(most) > 0 then
  local room = math.max(most - redis.call('LLEN', active), 0)
  if room < n then n, wait_ms = room, -1 end
end
local leased, pasts, waited_ms = lease_tasks(pending, active, lease, owners, tasks, holder, n, now)
if tonumber(limit) > 0 then window_note(starts, tonumber(per_ms), now, #leased / 2) end
if n < wanted and redis.call('LLEN', pending) > 0 then return {2, codes, leased, pasts, waited_ms, wait_ms} end
return {0, codes, leased, pasts, waited_ms}
