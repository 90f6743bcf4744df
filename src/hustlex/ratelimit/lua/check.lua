-- ratelimit.check: judge one call against all its policies, then charge all of them, or none.
-- EFFECT once            with only logs and leases: idempotent, by the request id
-- KEYS keys...   mixed   ratelimit:{<id>}:<endpoint>:<window start>, :b, :z, :g or :c, with .<policy> when several of a
--                        kind; per windowed count three strings and the mark (:w), else one hash (b), sorted set (z, c)
--                        or string (g); then :n when the policy can be overridden, and :pen when it bans
-- ARGV now_ms    int     0: the server's clock
-- ARGV request   text    id of this call; "" when no policy keeps one
-- ARGV rules...  mixed   per policy: kind, limit, window (ms; log, gcra us), cost, extra (see the kind's fragment), flags
--                        (1 shadow, 2 count denied, 4 override, 8 penalty), strikes, strike window ms, first ban ms
-- REPLY <0 time>         the server's window is not declared: correct the guess and repeat; nothing was done
-- REPLY <1 time bits ...> allowed and charged; time: seconds and microseconds; per policy its limit and its numbers
--                        (see the kind's fragment)
-- REPLY <2 time bits ...> denied; only policies that count refusals were charged; bits: the policies that refuse
-- REPLY <3 time rest at>  banned for so many milliseconds, by the policy at this place, from 1; nothing was done
local given_ms = now_ms
-- @include moment
-- @include rules
-- @include verdict
local us = seconds * 1000000 + micros
local rules = read_rules(3, now, us)
if not rules then return '0 ' .. seconds .. ' ' .. micros end
for _, rule in ipairs(rules) do
  if rule.algorithm.seen and rule.algorithm.seen(rule, request) then return report(1, rules) end
end
local rest, place = banned(rules, now)
if rest > 0 then
  for _, rule in ipairs(rules) do if rule.penalty then penalty.settle(rule.penalty, now) end end
  return '3 ' .. seconds .. ' ' .. micros .. ' ' .. rest .. ' ' .. place
end
for _, rule in ipairs(rules) do rule.algorithm.settle(rule) end
local denied = refused(rules)
for _, rule in ipairs(rules) do
  if denied and has(rule, COUNT_DENIED) or not denied and not rule.over then rule.algorithm.charge(rule, request) end
  if denied and rule.over and rule.penalty then
    penalty.strike(rule.penalty, now, rule.strikes, rule.strike_window, rule.ban)
  end
end
return report(denied and 2 or 1, rules)
