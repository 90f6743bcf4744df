-- Places held at once: one sorted-set entry per holder, scored with the millisecond its lease ends.
-- window: a lease's life in milliseconds.
local leases = {keys = 1}

function leases.read(rule, now)
  rule.name, rule.now = KEYS[rule.key], now
  rule.count = redis.call('ZCOUNT', rule.name, '(' .. now, '+inf')
  return true
end

-- A lease longer than its life: the server's clock was set back.
function leases.settle(rule)
  local most = rule.now + rule.window
  for _, holder in ipairs(redis.call('ZRANGE', rule.name, '(' .. most, '+inf', 'BYSCORE')) do
    redis.call('ZADD', rule.name, most, holder)
  end
end

function leases.seen(rule, request)
  local ends = redis.call('ZSCORE', rule.name, request)
  return ends and tonumber(ends) > rule.now
end

function leases.over(rule) return rule.count + 1 > rule.limit end

function leases.charge(rule, request)
  redis.call('ZREMRANGEBYSCORE', rule.name, '-inf', rule.now)
  redis.call('ZADD', rule.name, rule.now + rule.window, request)
  redis.call('PEXPIRE', rule.name, rule.window + 1000)
  rule.count = rule.count + 1
end

-- used; milliseconds until the first place falls free by itself, until all are
function leases.numbers(rule)
  local first = redis.call('ZRANGE', rule.name, '(' .. rule.now, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
  local last = redis.call('ZRANGE', rule.name, -1, -1, 'WITHSCORES')
  local function rest(found) return math.min(math.max((found[2] or 0) - rule.now, 0), rule.window) end
  return rule.count .. ' ' .. rest(first) .. ' ' .. rest(last)
end
