-- jobs.list_tasks: the first of a list (next to run, or longest active) or of a sorted set (lowest score).
-- EFFECT read
-- KEYS source   any    asynq:{<queue>}:<state>, or of a group: list or zset of task ids
-- KEYS lease    zset   asynq:{<queue>}:lease
-- TOUCHES asynq:{<queue>}:t:<id> of those
-- ARGV now_ms   int    0: the server's clock
-- ARGV tasks    text   asynq:{<queue>}:t:
-- ARGV kind     text   list or zset
-- ARGV count    int    how many, 1 or more
-- REPLY {1, now_ms, rows}  per task: message, result ("" none), score (0 in a list), 1 if its lease is over, crashes,
--                          parked_at (Unix second, 0 never)
-- @include clock
-- @include fields
local now = clock(now_ms)
local reply = {1, now}

local function add(id, score)
  local task = fields(tasks .. id, 'msg', 'result', 'crashes', 'parked_at')
  if not task[1] then return end
  local expiry = tonumber(redis.call('ZSCORE', lease, id) or '')
  reply[#reply + 1] = task[1]
  reply[#reply + 1] = task[2] or ''
  reply[#reply + 1] = score
  reply[#reply + 1] = expiry and expiry * 1000 <= now and 1 or 0
  reply[#reply + 1] = task[3] or '0'
  reply[#reply + 1] = task[4] or '0'
end

if kind == 'list' then
  local ids = redis.call('LRANGE', source, -count, -1)
  for n = #ids, 1, -1 do add(ids[n], '0') end
else
  local pairs_ = redis.call('ZRANGE', source, 0, count - 1, 'WITHSCORES')
  for n = 1, #pairs_, 2 do add(pairs_[n], pairs_[n + 1]) end
end
return reply
