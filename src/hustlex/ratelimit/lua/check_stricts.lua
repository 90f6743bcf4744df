-- ratelimit.check_stricts: ratelimit.check_strict for several subjects of one policy, and several callers of each.
-- EFFECT once
-- KEYS keys...   hash    ratelimit:{<id>}:<endpoint>:b, one per subject; of several slots where the server is no cluster
-- ARGV now_ms    int     0: the server's clock
-- ARGV limit     int     units
-- ARGV width     int     of a bucket, milliseconds
-- ARGV cost      int     units of one caller
-- ARGV span      int     buckets of a whole window
-- ARGV callers... int    per subject, how many ask; none: one each
-- REPLY <line ...>       see together.lua; each caller that passes uses cost more than the one before
-- @include buckets
local given_ms = now_ms
-- @include moment
-- @include together
local bucket, time = math.floor(now / width), seconds .. ' ' .. micros
return together(1, 6, function(callers, at)
  local key = KEYS[at]
  local used, age, here
  local seen = redis.call('HMGET', key, 's', 'k', 'o', bucket)
  if seen[2] and seen[2] + 0 == bucket then
    used, age, here = seen[1] + 0, seen[3], (seen[4] or 0) + 0
  else
    local oldest
    used, oldest, here = turn(key, bucket, span + 0, width)
    age = bucket - oldest
  end
  local passing = passing_of(callers, limit - used, cost)
  local total, refusal = used + passing * cost, nil
  if passing > 0 and here > 0 then
    redis.call('HSET', key, 's', total, bucket, here + passing * cost)
  elseif passing > 0 then
    if used == 0 then age = 0 end
    redis.call('HSET', key, 's', total, 'k', bucket, 'o', age, bucket, passing * cost)
    redis.call('PEXPIRE', key, (span + 1) * width)
  end
  if passing < callers then
    local newest, freeing = leaving(key, bucket, span + 0, total + cost - limit)
    refusal = '2 ' .. time .. ' 1 ' .. limit .. ' ' .. total .. ' ' .. age .. ' ' .. newest .. ' ' .. freeing
  end
  local line = passing > 0 and '1 ' .. time .. ' 0 ' .. limit .. ' ' .. used + cost .. ' ' .. age .. ' 0 0'
  return line or refusal, passing, refusal
end)
