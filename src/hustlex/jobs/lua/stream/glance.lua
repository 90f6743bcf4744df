-- jobs.glance: what a job told since a position, and where its task is now.
-- EFFECT read
-- KEYS task      hash    asynq:{<queue>}:t:<id>
-- KEYS stream    stream  asynq:{<queue>}:x:stream:<id>  as in jobs.tell
-- KEYS step      hash    asynq:{<queue>}:x:step:<id>    as in jobs.plant
-- KEYS note      string  asynq:{<queue>}:x:end:<id>     of a task that is gone, for 5 minutes: "+" and what it returned,
--                                                      or "-" and why it failed
-- KEYS ended     list    asynq:{<queue>}:x:ended       the last ids that succeeded and left nothing, newest first, for half a minute
-- ARGV id        text
-- ARGV position  text    of the last item seen; "-" = from the first, "+" = only the last ones
-- REPLY {1, state, message, result, phase, why, items}  state: "" no such task; message and result only when it ended
--                        or failed; phase, why: of a workflow's step, or "broken" and why, "" none; items: 100 at most, as XRANGE has them
local reply = {1, '', '', '', '', ''}
local found = redis.call('HMGET', task, 'state', 'msg', 'result')
reply[2] = found[1] or ''
if not found[1] then
  local left = redis.call('GET', note)
  if left and left:sub(1, 1) == '-' then
    reply[5], reply[6] = 'broken', left:sub(2)
  elseif left then
    reply[2], reply[4] = 'completed', left:sub(2)
  end
end
if found[1] == 'completed' or found[1] == 'archived' or found[1] == 'retry' then
  reply[3], reply[4] = found[2] or '', found[3] or ''
end
local waits = redis.call('HMGET', step, 'phase', 'why')
reply[5], reply[6] = waits[1] or reply[5], waits[2] or reply[6]
if position == '+' then
  reply[7] = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 100)
else
  reply[7] = redis.call('XRANGE', stream, position == '-' and '-' or '(' .. position, '+', 'COUNT', 100)
end
if reply[2] == '' and reply[5] == '' and redis.call('EXISTS', stream) == 0 then
  if type(redis.pcall('LPOS', ended, id)) == 'number' then reply[2] = 'completed' end
end
return reply
