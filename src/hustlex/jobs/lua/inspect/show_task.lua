-- jobs.show_task: one task as it is now.
-- EFFECT read
-- KEYS task     hash   asynq:{<queue>}:t:<id>
-- KEYS lease    zset   asynq:{<queue>}:lease
-- TOUCHES asynq:{<queue>}:scheduled  asynq:{<queue>}:retry
-- ARGV now_ms   int    0: the server's clock
-- ARGV id       text
-- ARGV prefix   text   asynq:{<queue>}:
-- REPLY {0}     no such task
-- REPLY {1, now_ms, message, result, score, expired, crashes, parked_at, state}  as list_tasks; score: 0 unless it waits
-- @include clock
local found = redis.call('HMGET', task, 'msg', 'state', 'result', 'crashes', 'parked_at')
if not found[1] or not found[2] then return {0} end
local now, score = clock(now_ms), '0'
if found[2] == 'scheduled' or found[2] == 'retry' then score = redis.call('ZSCORE', prefix .. found[2], id) or '0' end
local expiry = found[2] == 'active' and tonumber(redis.call('ZSCORE', lease, id) or '')
local expired = expiry and expiry * 1000 <= now and 1 or 0
return {1, now, found[1], found[3] or '', score, expired, found[4] or '0', found[5] or '0', found[2]}
