-- jobs.complete: keep tasks that succeeded until their retention ends.
-- EFFECT idempotent
-- KEYS active           list    asynq:{<queue>}:active
-- KEYS lease            zset    asynq:{<queue>}:lease            task id by Unix second of expiry
-- KEYS completed        zset    asynq:{<queue>}:completed        task id by Unix second of expiry
-- KEYS processed        int     asynq:{<queue>}:processed
-- KEYS processed_today  int     asynq:{<queue>}:processed:<day>
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks, and the locks named in rows
-- ARGV now_ms   int     0: the server's clock
-- ARGV tasks    text    asynq:{<queue>}:t:
-- ARGV rows...  fives   id, holder, retention in seconds, message, lock ("" = none)
-- REPLY <text>  a letter per row: 1 kept, 0 not held
-- ALLOW-OOM it moves tasks that exist
-- @include clock
-- @include count
-- @include release
local now_s = math.floor(clock(now_ms) / 1000)
local codes, c = {}, 0
for i = 3, #ARGV, 5 do
  local id, lock = ARGV[i], ARGV[i + 4]
  local held = release(active, lease, tasks, id, ARGV[i + 1])
  codes[#codes + 1] = held and '1' or '0'
  if held then
    c = c + 1
    redis.call('ZADD', completed, now_s + ARGV[i + 2], id)
    redis.call('HSET', tasks .. id, 'msg', ARGV[i + 3], 'state', 'completed')
    redis.call('HDEL', tasks .. id, 'owner')
    free(lock, id)
  end
end
if c > 0 then count({processed}, {processed_today}, c, now_s) end
return table.concat(codes)
