-- jobs.end_attempt: append how an attempt ended to a stream that exists.
-- EFFECT once
-- KEYS stream  stream  asynq:{<queue>}:x:stream:<id>  as in jobs.tell
-- ARGV state   text    completed, retry or archived
-- ARGV result  bytes   "" = none that was not told
-- REPLY {1, position}
-- REPLY {0}    there is no stream
-- @include append_item
if redis.call('EXISTS', stream) == 0 then return {0} end
if result ~= '' then append_item(stream, 'kind', 'result', 'data', result) end
return {1, append_item(stream, 'kind', 'state', 'state', state)}
