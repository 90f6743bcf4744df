-- jobs.plant: enqueue the steps of a workflow that wait for nothing, and keep the others until they are released.
-- EFFECT idempotent        a step whose record is there is left alone
-- KEYS pending    list     asynq:{<queue>}:pending
-- KEYS scheduled  zset     asynq:{<queue>}:scheduled
-- TOUCHES asynq:{<queue>}:t:<id>
-- TOUCHES asynq:{<queue>}:x:step:<id>  hash: phase (waits, runs, over, broken), keep_s (retention asked for), after
--         (steps before it), then (steps behind it); while it waits: message, due, wishes, slots, need (how many are before
--         it), got (how many of them succeeded), in:<index> (their results). head: 1 when it waited for nothing
-- ARGV now_ms     int      0: the server's clock
-- ARGV prefix     text     asynq:{<queue>}:
-- ARGV life_s     int      of a record, after latest_ms
-- ARGV latest_ms  int      Unix ms, 0 = now
-- ARGV items...   nine per step: id, message, due, need, keep_s, after, then, slots, wishes; the last four are JSON
-- REPLY {1, answers}       per step: 1 planted, 0 known before, 2 another task has the id
-- @include clock
-- @include place
local now = clock(now_ms)
local life = life_s + math.ceil(math.max(0, latest_ms - now) / 1000)
local queue = {prefix = prefix, pending = pending, scheduled = scheduled, now = now}

local function plant(id, message, due, need, keep_s, after, behind, slots, wishes)
  local step, stays_s = prefix .. 'x:step:' .. id, life
  if redis.call('EXISTS', step) == 1 then return 0 end
  if need == '0' then
    if type(place(queue, id, message, due, '', 0, '', '', wishes)) == 'table' then return 2 end
    redis.call('HSET', step, 'phase', behind == '[]' and 'over' or 'runs', 'head', 1)
    if behind == '[]' then stays_s = 86400 end
  elseif redis.call('EXISTS', prefix .. 't:' .. id) == 1 then
    return 2
  else
    redis.call('HSET', step, 'phase', 'waits', 'message', message, 'due', due, 'need', need, 'got', 0, 'slots', slots)
    if wishes ~= '' then redis.call('HSET', step, 'wishes', wishes) end
  end
  redis.call('HSET', step, 'keep_s', keep_s, 'after', after, 'then', behind)
  redis.call('EXPIRE', step, stays_s)
  return 1
end

local reply = {1}
for n = 5, #ARGV, 9 do reply[#reply + 1] = plant(unpack(ARGV, n, n + 8)) end
return reply
