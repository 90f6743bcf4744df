-- jobs.run_all: put up to n tasks of one state into pending, their crashes forgiven.
-- EFFECT idempotent     a repeat moves the next n
-- KEYS source   zset    asynq:{<queue>}:<state>, or of a group
-- KEYS pending  list    asynq:{<queue>}:pending
-- KEYS groups   set     asynq:{<queue>}:groups
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks
-- ARGV now_ms   int     0: the server's clock
-- ARGV prefix   text    asynq:{<queue>}:
-- ARGV kind     text    list or zset
-- ARGV group    text    "" none
-- ARGV n        int
-- REPLY {1, taken, left}
-- @include clock
-- @include fields
-- @include take_out
local since = string.format('%.0f000000', clock(now_ms))
local ids, left = take_out(source, kind, tonumber(n), groups, group)
for _, id in ipairs(ids) do
  local task = prefix .. 't:' .. id
  if is_hash(task) then
    redis.call('HSET', task, 'state', 'pending', 'pending_since', since)
    redis.call('HDEL', task, 'crashes', 'trial', 'parked_at', 'canceled', 'expires_at')
    redis.call('LPUSH', pending, id)
  end
end
return {1, #ids, left}
