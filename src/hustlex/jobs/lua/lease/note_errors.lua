-- jobs.note_errors: count one queue's failures by signature, and keep the groups that were seen last.
-- EFFECT once
-- KEYS groups   hash  asynq:{<queue>}:x:errors       signature -> a group, as JSON
-- KEYS seen     zset  asynq:{<queue>}:x:errors:seen  signature by the Unix ms of its last failure
-- ARGV now_ms   int   0: the server's clock
-- ARGV most     int   groups that are kept
-- ARGV life_s   int   seconds that they are kept after the last failure of any
-- ARGV rows...  fours signature, how many, JSON of what describes it, JSON of the last tasks' ids, newest first
-- REPLY {1}
-- @include clock
local DAY_H, MOST_IDS = 24, 10
local now = clock(now_ms)
local hour = math.floor(now / 3600000)

-- By the hour, for a day.
local function counted(hours, count)
  for at in pairs(hours) do
    if tonumber(at) <= hour - DAY_H then hours[at] = nil end
  end
  local name = string.format('%.0f', hour)
  hours[name] = (hours[name] or 0) + count
  return hours
end

local function newest(ids, older)
  local known = {}
  for n, id in ipairs(ids) do
    if n > MOST_IDS then ids[n] = nil else known[id] = true end
  end
  for _, id in ipairs(older) do
    if #ids < MOST_IDS and not known[id] then ids[#ids + 1] = id end
  end
  return ids
end

for i = 4, #ARGV, 4 do
  local signature, count = ARGV[i], tonumber(ARGV[i + 1])
  local known = redis.call('HGET', groups, signature)
  local group = known and cjson.decode(known) or {first = now, count = 0, hours = {}, ids = {}}
  group.told, group.last, group.count = cjson.decode(ARGV[i + 2]), now, group.count + count
  group.hours, group.ids = counted(group.hours, count), newest(cjson.decode(ARGV[i + 3]), group.ids)
  redis.call('HSET', groups, signature, cjson.encode(group))
  redis.call('ZADD', seen, string.format('%.0f', now), signature)
end
local excess = redis.call('ZCARD', seen) - most
if excess > 0 then
  redis.call('HDEL', groups, unpack(redis.call('ZRANGE', seen, 0, excess - 1)))
  redis.call('ZREMRANGEBYRANK', seen, 0, excess - 1)
end
redis.call('EXPIRE', groups, life_s)
redis.call('EXPIRE', seen, life_s)
return {1}
