-- The sliding log: one sorted-set entry per unit, scored with its microsecond.
-- Entry names: the call's id, then id#2, id#3 ... for the rest of its cost.
local log = {keys = 1}

function log.read(rule, _, us)
  rule.name, rule.now = KEYS[rule.key], us
  rule.live = string.format('(%.0f', us - rule.window)
  rule.count = redis.call('ZCOUNT', rule.name, rule.live, '+inf')
  return true
end

-- Entries in the future: the server's clock was set back. They count as taken now.
function log.settle(rule)
  local now = string.format('%.0f', rule.now)
  for _, entry in ipairs(redis.call('ZRANGE', rule.name, '(' .. now, '+inf', 'BYSCORE')) do
    redis.call('ZADD', rule.name, now, entry)
  end
end

function log.seen(rule, request) return redis.call('ZSCORE', rule.name, request) end

function log.over(rule) return rule.count + rule.cost > rule.limit end

function log.charge(rule, request)
  local now = string.format('%.0f', rule.now)
  redis.call('ZREMRANGEBYSCORE', rule.name, '-inf', string.format('%.0f', rule.now - rule.window))
  redis.call('ZADD', rule.name, now, request)
  for unit = 2, rule.cost do
    redis.call('ZADD', rule.name, now, request .. '#' .. unit)
  end
  redis.call('PEXPIRE', rule.name, rule.window / 1000 + 1000)
  rule.count, rule.charged = rule.count + rule.cost, true
end

-- Microseconds until only `goal` entries are live: then the (count - goal)-th oldest has left.
local function until_only(rule, goal)
  if rule.count <= goal or goal < 0 then return 0 end
  local place = rule.count - goal - 1
  local found = redis.call('ZRANGE', rule.name, rule.live, '+inf', 'BYSCORE', 'LIMIT', place, 1, 'WITHSCORES')
  return math.min(tonumber(found[2]), rule.now) + rule.window - rule.now
end

-- used; microseconds until the same call passes, until one unit is freed, until all are
function log.numbers(rule)
  local retry = rule.over and until_only(rule, rule.limit - rule.cost) or 0
  local reset = rule.charged and rule.window or until_only(rule, 0)
  return rule.count .. ' ' .. retry .. ' ' .. until_only(rule, rule.count - 1) .. ' ' .. reset
end
