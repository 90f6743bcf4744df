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
-- @include note_due
local state, lock = unpack(redis.call('HMGET', task, 'state', 'unique_key'))
if not state then return {0} end
if state ~= 'scheduled' and state ~= 'retry' then return {-1} end
local was_s = tonumber(redis.call('ZSCORE', prefix .. state, id) or '')
if not was_s then return {-3} end
local now = clock(now_ms)
local due_ms = due == '' and now or tonumber(due)
if due:sub(1, 1) == '+' then due_ms = now + due_ms end
due_ms = math.max(due_ms, now)
redis.call('ZADD', prefix .. state, string.format('%.0f', math.ceil(due_ms / 1000)), id)
note_due(prefix, id, due_ms, now)
local later_ms = due_ms - was_s * 1000
if later_ms > 0 and lock and redis.call('GET', lock) == id then
  redis.call('PEXPIRE', lock, string.format('%.0f', redis.call('PTTL', lock) + later_ms))
end
return {1}
