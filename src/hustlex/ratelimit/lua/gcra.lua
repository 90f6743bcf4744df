-- The virtual scheduler (a token bucket in one number): the moment, in microseconds, at which all that was taken is
-- paid for. window: microseconds per unit; extra: how far ahead of now the moment may lie, burst * window.
local gcra = {keys = 1}

function gcra.read(rule, _, us)
  rule.name, rule.now = KEYS[rule.key], us
  -- Further ahead than allowed: the server's clock was set back.
  rule.ahead = math.min(math.max(tonumber(redis.call('GET', rule.name) or 0) - us, 0), rule.extra)
  return true
end

function gcra.keep(rule)
  local paid = string.format('%.0f', rule.now + rule.ahead)
  redis.call('SET', rule.name, paid, 'PX', math.ceil(rule.ahead / 1000))
end

function gcra.settle(rule)
  if rule.ahead == rule.extra then gcra.keep(rule) end
end

function gcra.over(rule) return rule.ahead + rule.cost * rule.window > rule.extra end

function gcra.charge(rule)
  rule.ahead = rule.ahead + rule.cost * rule.window
  gcra.keep(rule)
end

-- how far ahead, in microseconds
function gcra.numbers(rule) return string.format('%.0f', rule.ahead) end
