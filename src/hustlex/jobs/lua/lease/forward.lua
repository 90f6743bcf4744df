-- jobs.forward: move tasks that are due from scheduled and retry to pending (or back to their group), 100 of each.
-- EFFECT idempotent
-- KEYS scheduled  zset    asynq:{<queue>}:scheduled  task id by Unix second
-- KEYS retry      zset    asynq:{<queue>}:retry      task id by Unix second
-- KEYS due        zset    asynq:{<queue>}:x:due      task id by Unix ms, of those that hustlex put there
-- KEYS pending    list    asynq:{<queue>}:pending
-- KEYS groups     set     asynq:{<queue>}:groups
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks, asynq:{<queue>}:g:<group>
-- ARGV now_ms   int      0: the server's clock
-- ARGV prefix   text     asynq:{<queue>}:
-- REPLY {0, moved, next, now_ms}  next: Unix ms at which to look again, -1 when no task waits
-- ALLOW-OOM it moves tasks that exist
-- @include clock
-- @include fields
local now = clock(now_ms)
local now_s = math.floor(now / 1000)
local moved, nearest = 0, -1

-- False for a task whose group's key holds something else: it is looked at again in a minute.
local function place(id)
  local task = prefix .. 't:' .. id
  local group = fields(task, 'state', 'group', 'first')
  if not group[1] then return true end
  if group[2] and group[2] ~= '' then
    if type(redis.pcall('ZADD', prefix .. 'g:' .. group[2], now_s, id)) == 'table' then return false end
    redis.call('SADD', groups, group[2])
    redis.call('HSET', task, 'state', 'aggregating')
  else
    redis.call(group[3] and 'RPUSH' or 'LPUSH', pending, id)
    redis.call('HSET', task, 'state', 'pending', 'pending_since', string.format('%.0f000000', now))
  end
  moved = moved + 1
  return true
end

local function take(source, id)
  if place(id) then redis.call('ZREM', source, id) else redis.call('ZADD', source, now_s + 60, id) end
end

-- What is due within its last second, first come first. An entry whose task others moved or changed is dropped.
local ripe = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'WITHSCORES', 'LIMIT', 0, 100)
for n = 1, #ripe, 2 do
  redis.call('ZREM', due, ripe[n])
  for _, source in ipairs({scheduled, retry}) do
    if tonumber(redis.call('ZSCORE', source, ripe[n]) or '') == math.ceil(ripe[n + 1] / 1000) then
      take(source, ripe[n])
    end
  end
end
for _, source in ipairs({scheduled, retry}) do
  local ids = redis.call('ZRANGEBYSCORE', source, '-inf', now_s, 'LIMIT', 0, 100)
  for _, id in ipairs(ids) do take(source, id) end
end
for source, unit_ms in pairs({[scheduled] = 1000, [retry] = 1000, [due] = 1}) do
  local first = tonumber(redis.call('ZRANGE', source, 0, 0, 'WITHSCORES')[2])
  if first and (nearest < 0 or first * unit_ms < nearest) then nearest = math.floor(first * unit_ms) end
end
return {0, moved, nearest, now}
