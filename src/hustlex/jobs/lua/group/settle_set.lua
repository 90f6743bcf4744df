-- jobs.settle_set: enqueue the task made of an aggregation set, and delete the set and its tasks, in one step.
-- EFFECT idempotent       a repeat finds no set
-- KEYS set        zset   asynq:{<queue>}:g:<group>:<set id>
-- KEYS sets       zset   asynq:{<queue>}:aggregation_sets
-- KEYS pending    list   asynq:{<queue>}:pending
-- KEYS scheduled  zset   asynq:{<queue>}:scheduled
-- KEYS groups     set    asynq:{<queue>}:groups
-- TOUCHES asynq:{<queue>}:t:<id> of all of them and their locks, the new task's group
-- ARGV now_ms     int    0: the server's clock
-- ARGV prefix     text   asynq:{<queue>}:
-- ARGV id         text   of the new task; "" = none, delete only
-- ARGV message    bytes
-- ARGV due        text   as for jobs.enqueue, and so are the next five
-- ARGV lock       text
-- ARGV lock_ttl_s int
-- ARGV group      text
-- ARGV till       text
-- ARGV wishes     text
-- REPLY {1, answer}  done; 1 pending, 2 scheduled, 3 aggregating, {id} of a task that was debounced
-- REPLY {2, answer}  nothing done: 0 the new task's id is taken, or the id that holds its lock
-- REPLY {0}          there is no such set: it was settled before, or its deadline passed and others took it apart
-- @include clock
-- @include place
-- @include end_lock
if not redis.call('ZSCORE', sets, set) then return {0} end
local queue = {prefix = prefix, now = clock(now_ms), pending = pending, scheduled = scheduled, groups = groups}
local answer = id == '' and 1 or place(queue, id, message, due, lock, lock_ttl_s, group, till, wishes)
if type(answer) == 'table' and answer[1] == 0 then answer = 0 end
if answer == 0 or type(answer) == 'string' then return {2, answer} end
for _, member in ipairs(redis.call('ZRANGE', set, 0, -1)) do
  end_lock(prefix .. 't:' .. member, member)
  redis.call('DEL', prefix .. 't:' .. member)
end
redis.call('DEL', set)
redis.call('ZREM', sets, set)
return {1, answer}
