-- The rules of one call: each policy with its state, as its algorithm reads it.
local algorithms = {counter = counter, log = log}

local function microseconds(injected_ms)
  local given = tonumber(injected_ms)
  if given and given > 0 then return given * 1000 end
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end

-- From ARGV[first] on: algorithm, limit, window, cost, base. Nil when a counter's window is not declared.
local function read_rules(first, us)
  local rules, key = {}, 1
  for at = first, #ARGV, 5 do
    local rule = {algorithm = algorithms[ARGV[at]], limit = tonumber(ARGV[at + 1]), window = tonumber(ARGV[at + 2]),
                  cost = tonumber(ARGV[at + 3]), base = tonumber(ARGV[at + 4]), key = key}
    key = key + rule.algorithm.keys
    if not rule.algorithm.read(rule, us) then return nil end
    rules[#rules + 1] = rule
  end
  return rules
end

-- Whether every rule lets the call through; marks those that do not.
local function judge(rules)
  local allowed = true
  for _, rule in ipairs(rules) do
    rule.violated = rule.algorithm.used(rule) + rule.cost > rule.limit
    allowed = allowed and not rule.violated
  end
  return allowed
end

local function retry_after(rule)
  if not rule.violated then return 0 end
  if rule.cost > rule.limit then return -1 end
  return rule.algorithm.wait(rule, rule.limit - rule.cost)
end

-- Appends per rule: units used, then microseconds until the same call passes, until a unit is freed, until all are.
local function report(reply, rules)
  for _, rule in ipairs(rules) do
    local used = rule.algorithm.used(rule)
    local more_after = used > 0 and rule.algorithm.wait(rule, used - 1) or 0
    for _, value in ipairs({used, retry_after(rule), more_after, rule.algorithm.wait(rule, 0)}) do
      reply[#reply + 1] = value
    end
  end
  return reply
end
