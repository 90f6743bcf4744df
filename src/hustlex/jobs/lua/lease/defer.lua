-- jobs.defer: put tasks that may not run now into the scheduled set, unchanged; nothing is counted.
-- EFFECT idempotent
-- KEYS active     list    asynq:{<queue>}:active
-- KEYS lease      zset    asynq:{<queue>}:lease      task id by Unix second of expiry
-- KEYS scheduled  zset    asynq:{<queue>}:scheduled  task id by Unix second
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks  asynq:{<queue>}:x:due
-- ARGV now_ms   int      0: the server's clock
-- ARGV tasks    text     asynq:{<queue>}:t:
-- ARGV mark     text     a field of the tasks that keeps the second in which this first happened to them; "" none
-- ARGV rows...  triples  id, holder, delay in ms
-- REPLY <text>  a letter per row: 1 moved, 0 not held
-- ALLOW-OOM it moves tasks that exist
-- @include clock
-- @include note_due
-- @include release
-- A task that was taken out of its group to run alone must not go back there, so the field that names it goes.
local now, codes = clock(now_ms), {}
for i = 4, #ARGV, 3 do
  local id = ARGV[i]
  local held = release(active, lease, tasks, id, ARGV[i + 1])
  codes[#codes + 1] = held and '1' or '0'
  if held then
    local due_ms = now + ARGV[i + 2]
    note_due(tasks:sub(1, -#'t:' - 1), id, due_ms, now)
    redis.call('ZADD', scheduled, string.format('%.0f', math.ceil(due_ms / 1000)), id)
    redis.call('HSET', tasks .. id, 'state', 'scheduled')
    redis.call('HDEL', tasks .. id, 'owner', 'group')
    if mark ~= '' then redis.call('HSETNX', tasks .. id, mark, math.ceil(now / 1000)) end
  end
end
return table.concat(codes)
