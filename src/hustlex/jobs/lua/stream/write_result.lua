-- jobs.write_result: keep what a running task has to show; the last one wins. Those that follow its stream are told.
-- EFFECT idempotent
-- KEYS task     hash    asynq:{<queue>}:t:<id>
-- KEYS stream   stream  asynq:{<queue>}:x:stream:<id>  as in jobs.tell; only when there is one
-- ARGV result   bytes
-- REPLY {1}     kept
-- REPLY {0}     the task is not running any more; nothing was written (Go would leave a stray hash)
-- @include append_item
local found = redis.call('HMGET', task, 'state', 'result')
if found[1] ~= 'active' then return {0} end
redis.call('HSET', task, 'result', result)
if found[2] ~= result and redis.call('EXISTS', stream) == 1 then
  append_item(stream, 'kind', 'result', 'data', result)
end
return {1}
