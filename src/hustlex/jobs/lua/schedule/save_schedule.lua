-- jobs.save_schedule: store a periodic entry for all schedulers, or replace one.
-- EFFECT idempotent   a repeat finds the same definition in place
-- KEYS entries  hash  asynq:x:{schedules}:entries  definition by name, and the version under ""; 10,000 at most
-- KEYS state    hash  asynq:x:{schedules}:state    by name: -1 paused, else the ms from which on instants count
-- KEYS static   hash  asynq:x:{schedules}:static   entries that running schedulers have in their code; lives for a day
-- ARGV now_ms      int    0: the server's clock
-- ARGV name        text
-- ARGV definition  bytes
-- ARGV replaces    bytes  the definition it takes the place of; "" = the name must be free
-- ARGV most        int    how many entries may be stored
-- REPLY {1}     stored, or the same was stored already
-- REPLY {0}     another definition is in place
-- REPLY {2}     full
-- REPLY {3}     the name is that of an entry in code
-- REPLY {4}     nothing to replace
-- @include clock
-- @include bump
local now, current = clock(now_ms), redis.call('HGET', entries, name)
if current == definition then return {1} end
if replaces == '' then
  if current then return {0} end
  if redis.call('HEXISTS', static, name) == 1 then return {3} end
  if redis.call('HLEN', entries) > tonumber(most) then return {2} end
elseif not current then
  return {4}
elseif current ~= replaces then
  return {0}
end
redis.call('HSET', entries, name, definition)
if redis.call('HGET', state, name) ~= '-1' then redis.call('HSET', state, name, string.format('%.0f', now)) end
bump(entries, now)
return {1}
