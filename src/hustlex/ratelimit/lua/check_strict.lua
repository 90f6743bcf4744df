-- ratelimit.check_strict: ratelimit.check for one plain policy of strict buckets.
-- EFFECT once
-- KEYS key       hash    ratelimit:{<id>}:<endpoint>:b
-- ARGV now_ms    int     0: the server's clock
-- ARGV limit     int     units
-- ARGV width     int     of a bucket, milliseconds
-- ARGV cost      int     units
-- ARGV span      int     buckets of a whole window
-- REPLY <1 time 0 limit used oldest 0 0>   allowed and charged; as in strict.lua
-- REPLY <2 time 1 limit used oldest newest freeing>  denied
-- @include buckets
local given_ms = now_ms
-- @include moment
local bucket = math.floor(now / width)
local used, age, here
local seen = redis.call('HMGET', key, 's', 'k', 'o', bucket)
if seen[2] and seen[2] + 0 == bucket then
  used, age, here = seen[1] + 0, seen[3], (seen[4] or 0) + 0
else
  local oldest
  used, oldest, here = turn(key, bucket, span + 0, width)
  age = bucket - oldest
end
local total = used + cost
if total > limit + 0 then
  local newest, freeing = leaving(key, bucket, span + 0, total - limit)
  return '2 ' .. seconds .. ' ' .. micros .. ' 1 ' .. limit .. ' ' .. used .. ' ' .. age .. ' ' .. newest .. ' ' .. freeing
end
if here > 0 then
  redis.call('HSET', key, 's', total, bucket, here + cost)
else
  if used == 0 then age = 0 end
  redis.call('HSET', key, 's', total, 'k', bucket, 'o', age, bucket, cost)
  redis.call('PEXPIRE', key, (span + 1) * width)
end
return '1 ' .. seconds .. ' ' .. micros .. ' 0 ' .. limit .. ' ' .. total .. ' ' .. age .. ' 0 0'
