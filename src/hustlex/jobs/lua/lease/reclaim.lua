-- jobs.reclaim: put the tasks of aggregation sets whose deadline passed back into their groups.
-- EFFECT idempotent
-- KEYS aggregation_sets  zset    asynq:{<queue>}:aggregation_sets  a set's key by Unix second of its deadline
-- KEYS groups            set     asynq:{<queue>}:groups
-- TOUCHES the sets named there, and asynq:{<queue>}:g:<group> of each (its key up to the last colon)
-- ARGV now_ms   int      0: the server's clock
-- ARGV prefix   text     asynq:{<queue>}:g:
-- REPLY int     how many sets were put back, 100 at most
-- ALLOW-OOM it moves tasks that exist
-- @include clock
local now_s = math.floor(clock(now_ms) / 1000)
local stale = redis.call('ZRANGEBYSCORE', aggregation_sets, '-inf', now_s, 'LIMIT', 0, 100)
for _, set in ipairs(stale) do
  local group = set:match('^(.*):[^:]*$')
  local members = redis.pcall('ZRANGE', set, 0, -1, 'WITHSCORES')
  local kind = redis.call('TYPE', group).ok
  local fits = not members.err and (#members == 0 or kind == 'none' or kind == 'zset')
  for i = 1, fits and #members or 0, 2 do redis.call('ZADD', group, members[i + 1], members[i]) end
  if fits and #members > 0 then redis.call('SADD', groups, group:sub(#prefix + 1)) end
  if fits then
    redis.call('DEL', set)
    redis.call('ZREM', aggregation_sets, set)
  else -- one of the keys holds something else: looked at again in two minutes
    redis.call('ZADD', aggregation_sets, now_s + 120, set)
  end
end
return #stale
