-- jobs.archive: put tasks that will not be tried again into the archive, and trim it to 9,999 tasks and 90 days.
-- EFFECT idempotent
-- KEYS active           list    asynq:{<queue>}:active
-- KEYS lease            zset    asynq:{<queue>}:lease            task id by Unix second of expiry
-- KEYS archived         zset    asynq:{<queue>}:archived         task id by Unix second of archiving
-- KEYS processed        int     asynq:{<queue>}:processed
-- KEYS processed_today  int     asynq:{<queue>}:processed:<day>
-- KEYS failed           int     asynq:{<queue>}:failed
-- KEYS failed_today     int     asynq:{<queue>}:failed:<day>
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks and of those trimmed
-- ARGV now_ms   int     0: the server's clock
-- ARGV tasks    text    asynq:{<queue>}:t:
-- ARGV rows...  triples id, holder, message
-- REPLY <text>  a letter per row: 1 archived, 0 not held
-- ALLOW-OOM it moves tasks that exist
-- @include clock
-- @include count
-- @include release
local now_s = math.floor(clock(now_ms) / 1000)
local codes, c = {}, 0

-- In steps of 1000: one unpack of all would fail on a long list, half-way through.
local function trim(...)
  repeat
    local old = redis.call(...)
    for _, id in ipairs(old) do redis.call('DEL', tasks .. id) end
    if #old > 0 then redis.call('ZREM', archived, unpack(old)) end
  until #old < 1000
end

for i = 3, #ARGV, 3 do
  local id = ARGV[i]
  local held = release(active, lease, tasks, id, ARGV[i + 1])
  codes[#codes + 1] = held and '1' or '0'
  if held then
    c = c + 1
    redis.call('ZADD', archived, now_s, id)
    redis.call('HSET', tasks .. id, 'msg', ARGV[i + 2], 'state', 'archived')
    redis.call('HDEL', tasks .. id, 'owner')
  end
end
if c > 0 then
  trim('ZRANGEBYSCORE', archived, '-inf', now_s - 7776000, 'LIMIT', 0, 1000)
  local excess = redis.call('ZCARD', archived) - 9999
  while excess > 0 do
    trim('ZRANGE', archived, 0, math.min(excess, 999) - 1)
    excess = redis.call('ZCARD', archived) - 9999
  end
  count({processed, failed}, {processed_today, failed_today}, c, now_s)
end
return table.concat(codes)
