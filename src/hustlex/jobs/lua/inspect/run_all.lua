-- jobs.run_all: put up to n tasks of one state into pending, their crashes forgiven.
-- EFFECT idempotent     a repeat moves the next n
-- KEYS source   zset    asynq:{<queue>}:<state>, or of a group
-- KEYS pending  list    asynq:{<queue>}:pending
-- KEYS groups   set     asynq:{<queue>}:groups
-- TOUCHES asynq:{<queue>}:t:<id> of the tasks, their locks and the tasks that hold them
-- ARGV now_ms   int     0: the server's clock
-- ARGV prefix   text    asynq:{<queue>}:
-- ARGV kind     text    list or zset
-- ARGV group    text    "" none
-- ARGV n        int
-- REPLY {1, taken, left, held}   held: of those taken, put back behind the others, for another task holds their lock
-- @include clock
-- @include run_again
-- @include take_out
local now, held = clock(now_ms), 0
local ids, left = take_out(source, kind, tonumber(n), groups, group)
for _, id in ipairs(ids) do
  local task = prefix .. 't:' .. id
  if is_hash(task) then
    if may_run(prefix, id, field(task, 'state')) then run_again(task, id, pending, now)
    else
      redis.call('ZADD', source, string.format('%.0f', math.floor(now / 1000)), id)
      held = held + 1
    end
  end
end
return {1, #ids, left, held}
