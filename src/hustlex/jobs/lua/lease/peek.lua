-- jobs.peek: what is due first in queues, and whether anything is out of place there. In a cluster: in one queue.
-- EFFECT read
-- KEYS keys...  asynq:{<queue>}: and, for each queue, scheduled, retry, x:due, completed, x:owners, lease,
--               aggregation_sets, pending, active, groups
-- ARGV now_ms   int     0: the server's clock
-- REPLY {0, now_ms, ...}  ten numbers per queue: the lowest score of each of the first seven (-1: empty), how many
--                         tasks are pending, how many are in active without a lease, and how many groups there are
-- @include clock

-- A key of another type hides only itself, not the other queues.
local function size(found)
  return type(found) == 'number' and found or 0
end

local reply = {0, clock(now_ms)}
for i = 1, #KEYS, 10 do
  for k = i, i + 6 do
    local first = redis.pcall('ZRANGE', KEYS[k], 0, 0, 'WITHSCORES') -- an error has no second element
    reply[#reply + 1] = first[2] and math.floor(first[2]) or -1
  end
  reply[#reply + 1] = size(redis.pcall('LLEN', KEYS[i + 7]))
  reply[#reply + 1] = math.max(size(redis.pcall('LLEN', KEYS[i + 8])) - size(redis.pcall('ZCARD', KEYS[i + 5])), 0)
  reply[#reply + 1] = size(redis.pcall('SCARD', KEYS[i + 9]))
end
return reply
