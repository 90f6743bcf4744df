-- jobs.retry: put tasks that failed into the retry set, those cancelled meanwhile into the archive; count the failures.
-- EFFECT idempotent
-- KEYS active           list    asynq:{<queue>}:active
-- KEYS lease            zset    asynq:{<queue>}:lease            task id by Unix second of expiry
-- KEYS retry            zset    asynq:{<queue>}:retry            task id by Unix second
-- KEYS archived         zset    asynq:{<queue>}:archived         task id by Unix second of archiving
-- KEYS processed        int     asynq:{<queue>}:processed
-- KEYS processed_today  int     asynq:{<queue>}:processed:<day>
-- KEYS failed           int     asynq:{<queue>}:failed
-- KEYS failed_today     int     asynq:{<queue>}:failed:<day>
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks  asynq:{<queue>}:x:due  the locks of those archived, tasks that are trimmed
-- ARGV now_ms   int     0: the server's clock
-- ARGV tasks    text    asynq:{<queue>}:t:
-- ARGV rows...  fives   id, holder, delay in ms, message, failure (1 or 0)
-- REPLY <text>  a letter per row: 1 moved, 0 not held
-- ALLOW-OOM it moves tasks that exist
-- @include clock
-- @include count
-- @include note_due
-- @include release
-- @include release_lock
-- @include trim_archived
local now = clock(now_ms)
local now_s, prefix = math.floor(now / 1000), tasks:sub(1, -#'t:' - 1)
local codes, failures = {}, 0
redis.call('ZCARD', archived) -- if it holds another type, the script ends here
for i = 3, #ARGV, 5 do
  local id = ARGV[i]
  local held = release(active, lease, tasks, id, ARGV[i + 1])
  codes[#codes + 1] = held and '1' or '0'
  if held then
    local due_ms, gone = now + ARGV[i + 2], redis.call('HEXISTS', tasks .. id, 'canceled') == 1
    if gone then
      redis.call('ZADD', archived, string.format('%.0f', now_s), id)
      release_lock(tasks .. id, id)
      trim_archived(archived, tasks, now_s, 9999, 7776000)
    else
      note_due(prefix, id, due_ms, now)
      redis.call('ZADD', retry, string.format('%.0f', math.ceil(due_ms / 1000)), id)
    end
    redis.call('HSET', tasks .. id, 'msg', ARGV[i + 3], 'state', gone and 'archived' or 'retry')
    redis.call('HDEL', tasks .. id, 'owner', 'parked_at')
    failures = failures + ARGV[i + 4]
  end
end
if failures > 0 then count({processed, failed}, {processed_today, failed_today}, failures, now_s) end
return table.concat(codes)
