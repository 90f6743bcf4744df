-- Strict buckets: the whole of each of the last span + 1 buckets counts, the oldest too, so that no window holds more.
-- window: a bucket's width in milliseconds; extra: span, the buckets of a whole window.
-- @include buckets
local strict = {keys = 1}

function strict.read(rule, now)
  rule.name, rule.now, rule.bucket = KEYS[rule.key], now, math.floor(now / rule.window)
  local seen = redis.call('HMGET', rule.name, 's', 'k', 'o', rule.bucket)
  rule.known = seen[2] and seen[2] + 0 == rule.bucket
  if rule.known then
    rule.used, rule.oldest, rule.here = seen[1] + 0, rule.bucket - seen[3], (seen[4] or 0) + 0
  else
    local _
    _, rule.used, rule.oldest = live(rule.name, rule.bucket, rule.extra)
  end
  return true
end

function strict.settle(rule)
  if not rule.known then
    rule.used, rule.oldest, rule.here = turn(rule.name, rule.bucket, rule.extra, rule.window)
  end
end

function strict.over(rule) return rule.used + rule.cost > rule.limit end

function strict.charge(rule)
  local name, bucket = rule.name, rule.bucket
  if rule.used == 0 then rule.oldest = bucket end
  rule.used, rule.charged = rule.used + rule.cost, true
  redis.call('HSET', name, 's', rule.used, 'k', bucket, 'o', bucket - rule.oldest, bucket, rule.here + rule.cost)
  redis.call('PEXPIRE', name, (rule.extra + 1) * rule.window)
end

-- used; how many buckets ago the oldest, the newest, and the one with whose end the same call passes lie
function strict.numbers(rule)
  if rule.charged and not rule.over then
    return rule.used .. ' ' .. rule.bucket - rule.oldest .. ' 0 0'
  end
  local newest, freeing = leaving(rule.name, rule.bucket, rule.extra, rule.used + rule.cost - rule.limit)
  return rule.used .. ' ' .. rule.bucket - rule.oldest .. ' ' .. newest .. ' ' .. freeing
end
