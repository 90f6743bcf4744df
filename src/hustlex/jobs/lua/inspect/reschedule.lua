-- jobs.reschedule: give a scheduled or retried task another start; its uniqueness lock follows a later one.
-- EFFECT idempotent
-- KEYS task    hash   asynq:{<queue>}:t:<id>
-- TOUCHES asynq:{<queue>}:scheduled  asynq:{<queue>}:retry  asynq:{<queue>}:x:due  the task's lock
-- ARGV now_ms  int    0: the server's clock
-- ARGV id      text
-- ARGV prefix  text   asynq:{<queue>}:
-- ARGV due     text   "" now, "+<ms>" later, "<ms>" at
-- REPLY {1}    done
-- REPLY {0}    no such task
-- REPLY {-1}   it is neither scheduled nor to be retried
-- REPLY {-3}   it is not where its state says
-- @include clock
-- @include move_start
local state = redis.call('HGET', task, 'state')
if not state then return {0} end
if state ~= 'scheduled' and state ~= 'retry' then return {-1} end
local now = clock(now_ms)
local due_ms = due == '' and now or tonumber(due)
if due:sub(1, 1) == '+' then due_ms = now + due_ms end
if not move_start(prefix, id, state, math.max(due_ms, now), now) then return {-3} end
return {1}
