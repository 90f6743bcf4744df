-- jobs.answer: acknowledge tasks that returned something; what they returned is kept with them, or for half a minute.
-- EFFECT idempotent
-- KEYS active           list    asynq:{<queue>}:active
-- KEYS lease            zset    asynq:{<queue>}:lease            task id by Unix second of expiry
-- KEYS completed        zset    asynq:{<queue>}:completed        task id by Unix second of expiry
-- KEYS processed        int     asynq:{<queue>}:processed
-- KEYS processed_today  int     asynq:{<queue>}:processed:<day>
-- TOUCHES asynq:{<queue>}:t:<id> and asynq:{<queue>}:x:end:<id> of the tasks, the locks named in rows, asynq:{<queue>}:x:ended
-- ARGV now_ms   int     0: the server's clock
-- ARGV tasks    text    asynq:{<queue>}:t:
-- ARGV rows...  sixes   id, holder, retention in seconds, message, lock ("" = none), result
--                       retention: 0 = the result stays for half a minute; -1 = only where somebody waits for it;
--                       -2: the same, and it is no result but why the task failed
-- REPLY <text>  a letter per row: 1 done, 0 not held
-- ALLOW-OOM it moves tasks that exist, or frees memory
-- @include clock
-- @include count
-- @include release
-- @include leave_end
local now_s = math.floor(clock(now_ms) / 1000)
local codes, c = {}, 0
for i = 3, #ARGV, 6 do
  local id, task, lock = ARGV[i], tasks .. ARGV[i], ARGV[i + 4]
  local awaited = field(task, 'awaited')
  local held = release(active, lease, tasks, id, ARGV[i + 1])
  codes[#codes + 1] = held and '1' or '0'
  if held then
    c = c + 1
    if tonumber(ARGV[i + 2]) <= 0 then
      redis.call('DEL', task)
      if ARGV[i + 2] == '-2' then redis.pcall('LREM', string.sub(tasks, 1, -3) .. 'x:ended', 0, id) end
      if awaited or ARGV[i + 2] == '0' then leave_end(tasks, id, (ARGV[i + 2] == '-2' and '-' or '+') .. ARGV[i + 5], awaited and 300 or 30) end
    else
      redis.call('ZADD', completed, now_s + ARGV[i + 2], id)
      redis.call('HSET', task, 'msg', ARGV[i + 3], 'state', 'completed', 'result', ARGV[i + 5])
      redis.call('HDEL', task, 'owner')
    end
    free(lock, id)
  end
end
if c > 0 then count({processed}, {processed_today}, c, now_s) end
return table.concat(codes)
