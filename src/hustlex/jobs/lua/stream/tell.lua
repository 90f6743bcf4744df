-- jobs.tell: append what a running task has to say to its stream.
-- EFFECT once
-- KEYS task       hash    asynq:{<queue>}:t:<id>
-- KEYS stream     stream  asynq:{<queue>}:x:stream:<id>  kind (progress, log, result, state) and its fields, as bytes;
--                         the newest 1000 or some more, for a day after the last; its name is published with each
-- ARGV fields...  pairs   name, value
-- REPLY {1, position}
-- REPLY {0}       the task is not running any more; nothing was written
-- @include append_item
if redis.call('HGET', task, 'state') ~= 'active' then return {0} end
return {1, append_item(stream, unpack(ARGV))}
