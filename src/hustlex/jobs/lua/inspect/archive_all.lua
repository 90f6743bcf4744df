-- jobs.archive_all: put up to n tasks of one state into the archive.
-- EFFECT idempotent     a repeat moves the next n
-- KEYS source    any    asynq:{<queue>}:<state>, or of a group
-- KEYS archived  zset   asynq:{<queue>}:archived
-- KEYS groups    set    asynq:{<queue>}:groups
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks and of those trimmed, and the tasks' locks
-- ARGV now_ms    int    0: the server's clock
-- ARGV prefix    text   asynq:{<queue>}:
-- ARGV kind      text   list or zset
-- ARGV group     text   "" none
-- ARGV n         int
-- REPLY {1, taken, left}
-- @include clock
-- @include take_out
-- @include end_lock
-- @include trim_archived
local now_s = math.floor(clock(now_ms) / 1000)
local ids, left = take_out(source, kind, tonumber(n), groups, group)
for _, id in ipairs(ids) do
  local task = prefix .. 't:' .. id
  if is_hash(task) then
    redis.call('HSET', task, 'state', 'archived')
    redis.call('HDEL', task, 'pending_since')
    end_lock(task, id)
    redis.call('ZADD', archived, string.format('%.0f', now_s), id)
  end
end
trim_archived(archived, prefix .. 't:', now_s, 9999, 7776000)
return {1, #ids, left}
