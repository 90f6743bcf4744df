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
local now = clock(now_ms)
local now_s = math.floor(now / 1000)
local moved, nearest = 0, -1

local function place(id)
  local task = prefix .. 't:' .. id
  local group = redis.call('HMGET', task, 'state', 'group', 'first')
  if not group[1] then return end
  moved = moved + 1
  if group[2] and group[2] ~= '' then
    redis.call('ZADD', prefix .. 'g:' .. group[2], now_s, id)
    redis.call('SADD', groups, group[2])
    redis.call('HSET', task, 'state', 'aggregating')
  else
    redis.call(group[3] and 'RPUSH' or 'LPUSH', pending, id)
    redis.call('HSET', task, 'state', 'pending', 'pending_since', string.format('%.0f000000', now))
  end
end

-- What is due within its last second, first come first. An entry whose task others moved or changed is dropped.
local ripe = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'WITHSCORES', 'LIMIT', 0, 100)
for n = 1, #ripe, 2 do
  redis.call('ZREM', due, ripe[n])
  for _, source in ipairs({scheduled, retry}) do
    if tonumber(redis.call('ZSCORE', source, ripe[n]) or '') == math.ceil(ripe[n + 1] / 1000) then
      redis.call('ZREM', source, ripe[n])
      place(ripe[n])
    end
  end
end
for _, source in ipairs({scheduled, retry}) do
  local ids = redis.call('ZRANGEBYSCORE', source, '-inf', now_s, 'LIMIT', 0, 100)
  for _, id in ipairs(ids) do place(id) end
  if #ids > 0 then redis.call('ZREM', source, unpack(ids)) end
end
for source, unit_ms in pairs({[scheduled] = 1000, [retry] = 1000, [due] = 1}) do
  local first = tonumber(redis.call('ZRANGE', source, 0, 0, 'WITHSCORES')[2])
  if first and (nearest < 0 or first * unit_ms < nearest) then nearest = math.floor(first * unit_ms) end
end
return {0, moved, nearest, now}
