-- jobs.peek: what is due first in queues, and whether anything is out of place there. In a cluster: in one queue.
-- EFFECT read
-- KEYS keys...  asynq:{<queue>}: and, for each queue, scheduled, retry, x:due, completed, x:owners, lease,
--               aggregation_sets, pending, active, groups, processed, failed; and last, outside of a cluster,
--               the open steps of workflows, as in jobs.note_steps
-- TOUCHES asynq:{<queue>}:t:<id> of the task that waits longest
-- ARGV now_ms   int     0: the server's clock
-- ARGV measure  int     1: tell more of each queue
-- REPLY {0, now_ms, ...}  ten numbers per queue: the lowest score of each of the first seven (-1: empty), how many
--                         tasks are pending, how many are in active without a lease, and how many groups there are;
--                         to measure four more: attempts that ended, that failed (both since ever), tasks that are
--                         unfinished, and the milliseconds that the next pending one has waited
-- REPLY {1, now_ms, ...}  the same, and steps of workflows are open
-- @include clock
-- @include fields

-- A key of another type hides only itself, not the other queues.
local function size(found)
  return type(found) == 'number' and found or 0
end

local now = clock(now_ms)
local reply = {0, now}
if #KEYS % 12 == 1 and size(redis.pcall('ZCARD', KEYS[#KEYS])) > 0 then reply = {1, now} end

local function counter(found)
  reply[#reply + 1] = type(found) == 'string' and string.match(found, '^%d+$') or '0'
end

local function waited(pending)
  local oldest = redis.pcall('LINDEX', pending, -1)
  local task = type(oldest) == 'string' and string.sub(pending, 1, -#'pending' - 1) .. 't:' .. oldest
  local since = tonumber(task and field(task, 'pending_since') or '')
  return since and math.max(math.floor(now - since / 1000000), 0) or 0
end

for i = 1, #KEYS - 11, 12 do
  for k = i, i + 6 do
    local first = redis.pcall('ZRANGE', KEYS[k], 0, 0, 'WITHSCORES') -- an error has no second element
    reply[#reply + 1] = first[2] and math.floor(first[2]) or -1
  end
  local pending, active = size(redis.pcall('LLEN', KEYS[i + 7])), size(redis.pcall('LLEN', KEYS[i + 8]))
  reply[#reply + 1] = pending
  reply[#reply + 1] = math.max(active - size(redis.pcall('ZCARD', KEYS[i + 5])), 0)
  reply[#reply + 1] = size(redis.pcall('SCARD', KEYS[i + 9]))
  if measure == '1' then
    counter(redis.pcall('GET', KEYS[i + 10]))
    counter(redis.pcall('GET', KEYS[i + 11]))
    local later = size(redis.pcall('ZCARD', KEYS[i])) + size(redis.pcall('ZCARD', KEYS[i + 1]))
    reply[#reply + 1] = pending + active + later
    reply[#reply + 1] = waited(KEYS[i + 7])
  end
end
return reply
