-- jobs.archive: put tasks that will not be tried again into the archive, and trim it.
-- EFFECT idempotent
-- KEYS active           list    asynq:{<queue>}:active
-- KEYS lease            zset    asynq:{<queue>}:lease            task id by Unix second of expiry
-- KEYS archived         zset    asynq:{<queue>}:archived         task id by Unix second of archiving
-- KEYS processed        int     asynq:{<queue>}:processed
-- KEYS processed_today  int     asynq:{<queue>}:processed:<day>
-- KEYS failed           int     asynq:{<queue>}:failed
-- KEYS failed_today     int     asynq:{<queue>}:failed:<day>
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks and of those trimmed, and the tasks' locks
-- ARGV now_ms   int     0: the server's clock
-- ARGV tasks    text    asynq:{<queue>}:t:
-- ARGV most     int     tasks that the archive keeps
-- ARGV age_s    int     seconds that it keeps them
-- ARGV rows...  triples id, holder, message
-- REPLY <text>  a letter per row: 1 archived, 0 not held
-- ALLOW-OOM it moves tasks that exist
-- @include clock
-- @include count
-- @include release
-- @include end_lock
-- @include trim_archived
local now_s = math.floor(clock(now_ms) / 1000)
local codes, c = {}, 0
for i = 5, #ARGV, 3 do
  local id = ARGV[i]
  local held = release(active, lease, tasks, id, ARGV[i + 1])
  codes[#codes + 1] = held and '1' or '0'
  if held then
    c = c + 1
    redis.call('ZADD', archived, now_s, id)
    redis.call('HSET', tasks .. id, 'msg', ARGV[i + 2], 'state', 'archived')
    redis.call('HDEL', tasks .. id, 'owner')
    end_lock(tasks .. id, id)
  end
end
if c > 0 then
  trim_archived(archived, tasks, now_s, most, age_s)
  count({processed, failed}, {processed_today, failed_today}, c, now_s)
end
return table.concat(codes)
