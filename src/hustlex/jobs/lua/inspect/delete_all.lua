-- jobs.delete_all: remove up to n tasks of one state, and their uniqueness locks.
-- EFFECT idempotent     a repeat removes the next n
-- KEYS source   any     asynq:{<queue>}:<state>, or of a group
-- KEYS groups   set     asynq:{<queue>}:groups
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks, and their locks; asynq:{<queue>}:x:ended as in jobs.delete_task
-- ARGV prefix   text    asynq:{<queue>}:
-- ARGV kind     text    list or zset
-- ARGV group    text    "" none
-- ARGV n        int
-- REPLY {1, taken, left}
-- ALLOW-OOM it frees memory
-- @include take_out
-- @include release_lock
redis.call('DEL', prefix .. 'x:ended')
local ids, left = take_out(source, kind, tonumber(n), groups, group)
for _, id in ipairs(ids) do
  release_lock(prefix .. 't:' .. id, id)
  redis.call('DEL', prefix .. 't:' .. id)
end
return {1, #ids, left}
