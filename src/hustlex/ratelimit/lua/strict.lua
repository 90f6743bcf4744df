-- Strict buckets: the whole of each of the last span + 1 buckets counts, the oldest too, so that no window holds more.
-- window: a bucket's width in milliseconds; extra: span, the buckets of a whole window.
-- @include buckets
local strict = {keys = 1}

function strict.read(rule, now)
  rule.name, rule.now, rule.bucket = KEYS[rule.key], now, math.floor(now / rule.window)
  rule.counts, rule.used, rule.oldest = live(rule.name, rule.bucket, rule.extra)
  return true
end

function strict.settle(rule)
  rule.used, rule.oldest, rule.here = turn(rule.name, rule.bucket, rule.extra, rule.window)
end

function strict.over(rule) return rule.used + rule.cost > rule.limit end

function strict.charge(rule)
  local name, bucket = rule.name, rule.bucket
  rule.used, rule.charged = rule.used + rule.cost, true
  redis.call('HSET', name, 's', rule.used, 'k', bucket, 'o', rule.oldest, bucket, rule.here + rule.cost)
  redis.call('PEXPIRE', name, (rule.extra + 1) * rule.window)
end

-- used, oldest bucket, newest bucket, bucket whose end lets the same call pass
function strict.numbers(rule)
  local newest, freeing = leaving(rule.name, rule.bucket, rule.extra, rule.used + rule.cost - rule.limit)
  return rule.used .. ' ' .. rule.oldest .. ' ' .. newest .. ' ' .. freeing
end
