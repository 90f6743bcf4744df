-- jobs.explain: all that one queue knows of one task.
-- EFFECT read
-- KEYS task     hash   asynq:{<queue>}:t:<id>
-- KEYS step     hash   asynq:{<queue>}:x:step:<id>  as in jobs.plant
-- KEYS pending  list   asynq:{<queue>}:pending
-- KEYS lease    zset   asynq:{<queue>}:lease
-- KEYS paused   string asynq:{<queue>}:paused
-- KEYS parked   hash   asynq:{<queue>}:x:parked
-- TOUCHES asynq:{<queue>}:scheduled  asynq:{<queue>}:retry  asynq:{<queue>}:g:<group>  the task's lock
-- ARGV now_ms   int    0: the server's clock
-- ARGV id       text
-- ARGV prefix   text   asynq:{<queue>}:
-- ARGV deep     int    how far into pending to look
-- REPLY {1, facts}  "" where there is none: now_ms, paused, parked (1 or 0), state, msg, owner, crashes, parked_at
--                   (Unix second), score (Unix second of its next start, or of its lease's end), ahead (tasks in
--                   pending before it, -1 = more than were looked at), size (of its group), lock, holder, lock_ms (its uniqueness lock, who has it, for
--                   how long), phase, why, after (JSON), got (a letter per step before it,
--                   1 = has succeeded), pending_since (Unix ns)
-- @include clock
local found = redis.call('HMGET', task, 'state', 'msg', 'owner', 'crashes', 'unique_key', 'group', 'parked_at', 'pending_since')
local state, group = found[1] or '', found[6] or ''
local score, ahead, size, got = '', '', '', ''

if state == 'scheduled' or state == 'retry' then
  score = redis.call('ZSCORE', prefix .. state, id) or ''
elseif state == 'active' then
  score = redis.call('ZSCORE', lease, id) or ''
elseif state == 'pending' then
  local at = redis.call('LPOS', pending, id, 'RANK', -1, 'MAXLEN', deep)
  ahead = at and redis.call('LLEN', pending) - 1 - at or -1
elseif state == 'aggregating' then
  size = redis.call('ZCARD', prefix .. 'g:' .. group)
end

local lock, holder, lock_ms = found[5] or '', '', ''
if lock ~= '' then
  holder = redis.call('GET', lock) or ''
  lock_ms = redis.call('PTTL', lock)
end
local waits = redis.call('HMGET', step, 'phase', 'why', 'after', 'need')
for n = 0, (waits[1] == 'waits' and waits[4] or 0) - 1 do
  got = got .. redis.call('HEXISTS', step, 'in:' .. n)
end
return {1, clock(now_ms), redis.call('EXISTS', paused), redis.call('HEXISTS', parked, id), state, found[2] or '',
  found[3] or '', found[4] or '', found[7] or '', score, ahead, size, lock, holder, lock_ms, waits[1] or '', waits[2] or '',
  waits[3] or '', got, found[8] or ''}
