-- The windowed counts. fixed: this window's alone. counter: the previous one's too, weighted by the part of it that
-- still overlaps and rounded up: rounded down, 2 * limit instead of 2 * limit - 1 fit in the worst window.
-- Keys: the windows before, at and after `extra`, the millisecond at which the middle one starts.
local windows = {keys = 3}

-- False when the server's window is not among the declared ones, with the one before it.
function windows.read(rule, now)
  local step = math.floor((now - rule.extra) / rule.window)
  if step < 0 or step > 1 then return false end
  rule.carries = rule.kind == 'counter'
  rule.elapsed = (now - rule.extra) - step * rule.window
  rule.name = KEYS[rule.key + step + 1]
  rule.previous = rule.carries and tonumber(redis.call('GET', KEYS[rule.key + step]) or 0) or 0
  -- A count in the next window: the server's clock was set back. What was used then counts as used now.
  rule.later_name = step == 0 and KEYS[rule.key + 2]
  rule.later = tonumber(rule.later_name and redis.call('GET', rule.later_name) or 0)
  rule.current = tonumber(redis.call('GET', rule.name) or 0) + rule.later
  return true
end

function windows.add(rule, amount)
  redis.call('INCRBY', rule.name, amount)
  redis.call('PEXPIRE', rule.name, (rule.carries and 2 or 1) * rule.window - rule.elapsed + 1000)
end

function windows.settle(rule)
  if rule.later > 0 then
    windows.add(rule, rule.later)
    redis.call('DEL', rule.later_name)
  end
end

function windows.over(rule)
  local carried = math.ceil(rule.previous * (rule.window - rule.elapsed) / rule.window)
  return rule.current + carried + rule.cost > rule.limit
end

function windows.charge(rule)
  windows.add(rule, rule.cost)
  rule.current = rule.current + rule.cost
end

-- previous, current
function windows.numbers(rule) return rule.previous .. ' ' .. rule.current end
