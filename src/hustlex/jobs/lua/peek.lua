-- jobs.peek: what is due first in a queue, and whether anything is out of place there.
-- EFFECT read
-- KEYS scheduled         zset    asynq:{<queue>}:scheduled
-- KEYS retry             zset    asynq:{<queue>}:retry
-- KEYS completed         zset    asynq:{<queue>}:completed
-- KEYS owners            zset    asynq:{<queue>}:x:owners
-- KEYS lease             zset    asynq:{<queue>}:lease
-- KEYS aggregation_sets  zset    asynq:{<queue>}:aggregation_sets
-- KEYS pending           list    asynq:{<queue>}:pending
-- KEYS active            list    asynq:{<queue>}:active
-- ARGV now_ms            int     0: the server's clock
-- REPLY {0, now_ms, scheduled, retry, completed, owners, lease, aggregation_sets, pending, unleased}
--                        the lowest score of each set (-1: empty), how many tasks are pending, and how many are in
--                        active without a lease
-- @include clock
local function first(key)
  local found = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return found[2] and math.floor(found[2]) or -1
end

local unleased = math.max(redis.call('LLEN', active) - redis.call('ZCARD', lease), 0)
return {0, clock(now_ms), first(scheduled), first(retry), first(completed), first(owners), first(lease),
  first(aggregation_sets), redis.call('LLEN', pending), unleased}
