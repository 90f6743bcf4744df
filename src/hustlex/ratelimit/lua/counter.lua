-- The sliding window counter: the previous window's count, weighted by the part of it that still overlaps, plus the
-- current one's. Rounded up: rounded down, 2 * limit calls instead of 2 * limit - 1 fit in the worst window.
-- Keys: windows base-1, base, base+1. Window and elapsed in milliseconds, waits in microseconds.
local counter = {keys = 3}

-- False when the server's window is not among the declared ones, with the one before it.
function counter.read(rule, us)
  local now = math.floor(us / 1000)
  local step = math.floor(now / rule.window) - rule.base
  if step < 0 or step > 1 then return false end
  rule.elapsed = now % rule.window
  rule.name = KEYS[rule.key + step + 1]
  rule.previous = tonumber(redis.call('GET', KEYS[rule.key + step]) or 0)
  -- A count in the next window: the server's clock was set back. What was used then counts as used now.
  rule.later_name = step == 0 and KEYS[rule.key + 2]
  rule.later = tonumber(rule.later_name and redis.call('GET', rule.later_name) or 0)
  rule.current = tonumber(redis.call('GET', rule.name) or 0) + rule.later
  return true
end

function counter.add(rule, amount)
  redis.call('INCRBY', rule.name, amount)
  redis.call('PEXPIRE', rule.name, 2 * rule.window - rule.elapsed + 1000)
end

function counter.settle(rule)
  if rule.later > 0 then
    counter.add(rule, rule.later)
    redis.call('DEL', rule.later_name)
  end
end

function counter.seen() return false end

function counter.charge(rule)
  counter.add(rule, rule.cost)
  rule.current = rule.current + rule.cost
end

function counter.used(rule)
  return rule.current + math.ceil(rule.previous * (rule.window - rule.elapsed) / rule.window)
end

-- Until the estimate has fallen to `goal`, in this window or, as the previous one, in the next.
function counter.wait(rule, goal)
  if counter.used(rule) <= goal then return 0 end
  if rule.current <= goal then
    return 1000 * (rule.window - math.floor((goal - rule.current) * rule.window / rule.previous) - rule.elapsed)
  end
  return 1000 * (2 * rule.window - math.floor(goal * rule.window / rule.current) - rule.elapsed)
end
