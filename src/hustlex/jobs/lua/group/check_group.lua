-- jobs.check_group: make an aggregation set of a group's oldest tasks when it is time to.
-- EFFECT idempotent       the set's name is new: a repeat finds it made
-- KEYS members  zset    asynq:{<queue>}:g:<group>           task id by the second it was added
-- KEYS set      zset    asynq:{<queue>}:g:<group>:<set id>  the same, of the tasks taken
-- KEYS sets     zset    asynq:{<queue>}:aggregation_sets    a set's key by the second of its deadline, 120 s from now
-- KEYS groups   set     asynq:{<queue>}:groups
-- ARGV now_ms       int   0: the server's clock
-- ARGV max_size     int   0: no limit
-- ARGV max_delay_s  int   0: no limit
-- ARGV grace_s      int
-- ARGV group        text  its name
-- REPLY {1}     a set was made
-- REPLY {0}     nothing to aggregate yet
-- @include clock
if redis.call('EXISTS', set) == 1 then return {1} end
local size, most = redis.call('ZCARD', members), tonumber(max_size)
if size == 0 then return {0} end
local now_s = math.floor(clock(now_ms) / 1000)

local function added(rank)
  return tonumber(redis.call('ZRANGE', members, rank, rank, 'WITHSCORES')[2])
end

local full = most > 0 and size >= most
local stale = tonumber(max_delay_s) > 0 and added(0) <= now_s - max_delay_s
if not full and not stale and added(-1) > now_s - grace_s then return {0} end
if most == 0 or size <= most then
  redis.call('RENAME', members, set)
  redis.call('SREM', groups, group)
else
  redis.call('ZRANGESTORE', set, members, 0, most - 1)
  redis.call('ZREMRANGEBYRANK', members, 0, most - 1)
end
redis.call('ZADD', sets, string.format('%.0f', now_s + 120), set)
return {1}
