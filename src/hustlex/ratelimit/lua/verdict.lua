-- What the rules say together.

-- The longest ban: milliseconds left (0: none) and the rule's place.
local function banned(rules, now)
  local longest, place = 0, 0
  for at, rule in ipairs(rules) do
    local rest = rule.penalty and penalty.rest(rule.penalty, now) or 0
    if rest > longest then longest, place = rest, at end
  end
  return longest, place
end

-- Marks the rules that refuse; whether any of them may. A shadow policy only watches.
local function refused(rules)
  local any = false
  for _, rule in ipairs(rules) do
    rule.over = rule.algorithm.over(rule)
    any = any or (rule.over and not has(rule, SHADOW))
  end
  return any
end

-- '<status> <seconds> <microseconds> <bits of the rules that refuse>', then per rule its limit and its algorithm's numbers.
local function report(status, rules)
  local words, bits = {status, seconds, micros, 0}, 0
  for at, rule in ipairs(rules) do
    if rule.over then bits = bits + 2 ^ (at - 1) end
    words[#words + 1] = rule.limit
    words[#words + 1] = rule.algorithm.numbers(rule)
  end
  words[4] = bits
  return table.concat(words, ' ')
end
