-- The windowed counts. fixed: this window's alone. counter: the previous one's too, weighted by the part of it that
-- still overlaps and rounded up: rounded down, 2 * limit instead of 2 * limit - 1 fit in the worst window.
-- Keys: the windows before, at and after `extra`, the millisecond at which the middle one starts; and the mark of the
-- newest of windows in a row. A count or a mark in the future: the server's clock was set back. Then the mark gets
-- another life, and counts of former ones are void: no window that is lived through again holds anybody up again.
-- @include lives
local windows = {keys = 4}

-- False when the server's window is not among the declared ones, with the one before it.
function windows.read(rule, now)
  local step = math.floor((now - rule.extra) / rule.window)
  if step < 0 or step > 1 then return false end
  rule.start, rule.at = math.floor((rule.extra + step * rule.window) / 1000), rule.key + step + 1
  rule.left, rule.carries = rule.window - (now - rule.extra) + step * rule.window, rule.kind == 'counter'
  rule.mark = KEYS[rule.key + 3]
  local mark = redis.call('GET', rule.mark)
  local function count(key) return of_life(mark, redis.call('GET', key)) end
  rule.born, rule.current, rule.last = born(mark), count(KEYS[rule.at]), count(KEYS[rule.at - 1])
  rule.previous = rule.carries and rule.last or 0
  rule.in_row = rule.last > 0 and rule.current == 0
  rule.set_back = newest(mark) > rule.start or step == 0 and count(KEYS[rule.at + 1]) > 0
  if rule.set_back then rule.born = (rule.born + LIFE) % (LIVES * LIFE) end
  return true
end

local function keep(rule)
  local life = rule.left + (rule.carries and rule.window or 0) + 1000
  redis.call('SET', KEYS[rule.at], rule.born + rule.current, 'PX', life)
  if rule.in_row or rule.set_back then
    redis.call('SET', rule.mark, rule.born + rule.start, 'PX', math.max(redis.call('PTTL', rule.mark), life))
  end
end

function windows.settle(rule)
  if not rule.set_back then return end
  keep(rule)
  redis.call('SET', KEYS[rule.at - 1], rule.born + rule.last, 'PX', rule.left + 1000)
end

function windows.over(rule)
  local carried = math.ceil(rule.previous * rule.left / rule.window)
  return rule.current + carried + rule.cost > rule.limit
end

function windows.charge(rule)
  rule.current = rule.current + rule.cost
  keep(rule)
end

-- previous, current
function windows.numbers(rule) return rule.previous .. ' ' .. rule.current end
