-- jobs.cancel_task: see to it that a task never runs (again): archived when it waits, marked when somebody runs it.
-- EFFECT idempotent      a repeat finds what the first call did
-- KEYS task      hash    asynq:{<queue>}:t:<id>; canceled: the state in which it was cancelled
-- KEYS archived  zset    asynq:{<queue>}:archived
-- TOUCHES asynq:{<queue>}:<state>  asynq:{<queue>}:groups  asynq:{<queue>}:g:<group>  tasks that are trimmed
-- TOUCHES the task's lock, asynq:{<queue>}:unique:<type>:<digest>
-- ARGV now_ms    int     0: the server's clock
-- ARGV id        text
-- ARGV prefix    text    asynq:{<queue>}:
-- REPLY {1, state}  it waited in this state, and will never run; it is in the archive
-- REPLY {2}         somebody runs it: whatever comes of that, it is not tried again
-- REPLY {3, state}  it has ended: completed or archived
-- REPLY {0}         no such task
-- REPLY {-3}        it is not where its state says: it is on its way, look again
-- @include clock
-- @include leave
-- @include release_lock
-- @include trim_archived
-- Field 7 of a message is its error; of a field that comes twice, readers take the last.
local found = redis.call('HMGET', task, 'state', 'group', 'canceled', 'msg')
local state = found[1]
if not state or not found[4] then return {0} end
if state == 'archived' and found[3] and found[3] ~= 'active' then return {1, found[3]} end
if state == 'archived' or state == 'completed' then return {3, state} end
if state == 'active' then
  redis.call('HSET', task, 'canceled', state)
  return {2}
end
redis.call('ZCARD', archived) -- if it holds another type, the script ends here
if not leave(prefix, id, state, found[2]) then return {-3} end
local now_s = math.floor(clock(now_ms) / 1000)
redis.call('ZADD', archived, string.format('%.0f', now_s), id)
redis.call('HSET', task, 'state', 'archived', 'canceled', state, 'msg', found[4] .. '\58\8canceled')
redis.call('HDEL', task, 'pending_since', 'parked_at')
release_lock(task, id)
trim_archived(archived, prefix .. 't:', now_s, 9999, 7776000)
return {1, state}
