-- The rules of one call: each policy with its state, as its algorithm reads it.
-- @include windows
-- @include strict
-- @include log
-- @include gcra
-- @include leases
-- @include penalty
local algorithms = {fixed = windows, counter = windows, strict = strict, log = log, gcra = gcra, leases = leases}
local SHADOW, COUNT_DENIED, OVERRIDE, PENALTY = 1, 2, 4, 8

local function has(rule, flag) return math.floor(rule.flags / flag) % 2 == 1 end

local function new_rule(at, key)
  local rule = {
    kind = ARGV[at], algorithm = algorithms[ARGV[at]], key = key, limit = ARGV[at + 1] + 0, window = ARGV[at + 2] + 0,
    cost = ARGV[at + 3] + 0, extra = ARGV[at + 4] + 0, flags = ARGV[at + 5] + 0, strikes = ARGV[at + 6] + 0,
    strike_window = ARGV[at + 7] + 0, ban = ARGV[at + 8] + 0,
  }
  key = key + rule.algorithm.keys
  if has(rule, OVERRIDE) then
    rule.limit = tonumber(redis.call('GET', KEYS[key]) or rule.limit)
    key = key + 1
  end
  if has(rule, PENALTY) then
    rule.penalty = KEYS[key]
    key = key + 1
  end
  return rule, key
end

-- From ARGV[first] on, 9 values each. Nil when a window is not declared.
local function read_rules(first, now, us)
  local rules, key = {}, 1
  for at = first, #ARGV, 9 do
    local rule
    rule, key = new_rule(at, key)
    if not rule.algorithm.read(rule, now, us) then return nil end
    rules[#rules + 1] = rule
  end
  return rules
end
