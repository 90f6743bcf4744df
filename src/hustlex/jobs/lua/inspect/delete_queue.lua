-- jobs.delete_queue: remove a queue and all that is in it, up to n tasks per call; nothing is leased from it meanwhile.
-- EFFECT idempotent     a repeat goes on
-- KEYS paused   string  asynq:{<queue>}:paused
-- KEYS active   list    asynq:{<queue>}:active
-- KEYS groups   set     asynq:{<queue>}:groups
-- KEYS sets     zset    asynq:{<queue>}:aggregation_sets
-- TOUCHES asynq:{<queue>}:<state>, the tasks and their locks, its counters, our asynq:{<queue>}:x:<name>
-- ARGV now_ms   int     0: the server's clock
-- ARGV prefix   text    asynq:{<queue>}:
-- ARGV force    int     1: also when tasks wait or are archived
-- ARGV n        int
-- REPLY {1, left}       left: tasks that are still there, or more; 0: the queue is gone
-- REPLY {-1}            it is not empty
-- REPLY {-2}            it has active tasks
-- ALLOW-OOM it frees memory
-- @include clock
-- @include release_lock
-- @include take_out
-- @include utc_day
local kinds = {pending = 'list', scheduled = 'zset', retry = 'zset', archived = 'zset', completed = 'zset'}
local places, chosen = {}, redis.call('SRANDMEMBER', groups, n) -- not all: there may be a hundred thousand
for _, group in ipairs(chosen) do places[#places + 1] = {prefix .. 'g:' .. group, 'zset', group} end
for _, set in ipairs(redis.call('ZRANGE', sets, 0, -1)) do places[#places + 1] = {set, 'zset', ''} end
local waits = #places > 0
for state, kind in pairs(kinds) do
  places[#places + 1] = {prefix .. state, kind, ''}
  waits = waits or state ~= 'completed' and redis.call('EXISTS', prefix .. state) == 1
end
if redis.call('LLEN', active) > 0 then return {-2} end
if waits and force ~= '1' then return {-1} end

local now_s = math.floor(clock(now_ms) / 1000)
if force == '1' then redis.call('SET', paused, string.format('%.0f', now_s), 'NX') end
local left, room = redis.call('SCARD', groups) - #chosen, tonumber(n)
for _, place in ipairs(places) do
  local ids, rest = {}, redis.call(place[2] == 'list' and 'LLEN' or 'ZCARD', place[1])
  if room > 0 then ids, rest = take_out(place[1], place[2], room, groups, place[3]) end
  for _, id in ipairs(ids) do
    release_lock(prefix .. 't:' .. id, id)
    redis.call('DEL', prefix .. 't:' .. id)
  end
  left, room = left + rest, room - #ids
end
if left > 0 then return {1, left} end
redis.call('DEL', paused, active, groups, sets, prefix .. 'lease', prefix .. 'processed', prefix .. 'failed')
for _, name in ipairs({'owners', 'parked', 'limit', 'grouped', 'due', 'starts', 'ended'}) do redis.call('DEL', prefix .. 'x:' .. name) end
for back = 0, 91 do
  local day = utc_day(now_s - back * 86400)
  redis.call('DEL', prefix .. 'processed:' .. day, prefix .. 'failed:' .. day)
end
return {1, 0}
