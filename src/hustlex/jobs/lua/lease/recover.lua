-- jobs.recover: give back the tasks of servers that died, to run next, unchanged but for one more crash on their record.
-- EFFECT idempotent
-- KEYS active   list    asynq:{<queue>}:active
-- KEYS lease    zset    asynq:{<queue>}:lease     task id by Unix second of expiry
-- KEYS pending  list    asynq:{<queue>}:pending
-- KEYS owners   zset    asynq:{<queue>}:x:owners  server id by the second it is dead after
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks
-- ARGV now_ms   int     0: the server's clock
-- ARGV tasks    text    asynq:{<queue>}:t:
-- REPLY <list of ids>   the tasks given back, 1000 at most per dead server
-- ALLOW-OOM it moves tasks that exist
-- @include clock
-- @include release
-- Twice, a crash counts for all that the server held. Those who were there both times are then run one at a time, and
-- from then on a crash counts only for the one that was on trial.
-- A server's leases end at most 20 s after its entry in owners (30 s against 10 s). One that ends later is not its own:
-- another worker, which need not know the owner field, has taken the task since.
local now_s = math.floor(clock(now_ms) / 1000)
local recovered = {}

local function give_back(id, holder)
  if not release(active, lease, tasks, id, holder) then return end
  redis.call('RPUSH', pending, id)
  redis.call('HSET', tasks .. id, 'state', 'pending')
  redis.call('HDEL', tasks .. id, 'owner')
  local past = fields(tasks .. id, 'crashes', 'trial')
  if (tonumber(past[1] or 0) or 0) < 2 or past[2] == holder then redis.pcall('HINCRBY', tasks .. id, 'crashes', 1) end
  recovered[#recovered + 1] = id
end

local dead = redis.call('ZRANGEBYSCORE', owners, '-inf', now_s - 1, 'WITHSCORES', 'LIMIT', 0, 10)
for i = 1, #dead, 2 do
  local ids = redis.call('ZRANGEBYSCORE', lease, '-inf', dead[i + 1] + 21, 'LIMIT', 0, 1000)
  for _, id in ipairs(ids) do
    local holder = field(tasks .. id, 'owner')
    if holder and holder:match('^[^:]+') == dead[i] then give_back(id, holder) end
  end
  if #ids < 1000 then redis.call('ZREM', owners, dead[i]) end
end
return recovered
