-- ratelimit.check: judge one call against all its policies, then charge all of them, or none.
-- EFFECT once            with only logs: idempotent, by the request id
-- KEYS keys...   mixed   ratelimit:{<id>}:<endpoint>:<window start> or :z, with .<policy> when several of a kind;
--                        per counter three strings (windows base-1, base, base+1), per log one sorted set
-- ARGV now_ms    int     0: the server's clock
-- ARGV request   text    id of this call, 11 characters
-- ARGV rules...  mixed   per policy: counter|log, limit, window (counter ms, log us), cost, base (window number)
-- REPLY {0, now_ms}      the server's window is not declared: correct the guess and repeat; nothing was done
-- REPLY {1, state}       allowed and charged; per policy used, retry_us (0), more_us, reset_us
-- REPLY {2, state}       denied, nothing charged; retry_us 0: not by this policy; -1: never
-- @include counter
-- @include log
-- @include rules
local us = microseconds(now_ms)
local rules = read_rules(3, us)
if not rules then return {0, math.floor(us / 1000)} end
for _, rule in ipairs(rules) do
  if rule.algorithm.seen(rule, request) then return report({1}, rules) end
end
for _, rule in ipairs(rules) do rule.algorithm.settle(rule) end
if not judge(rules) then return report({2}, rules) end
for _, rule in ipairs(rules) do rule.algorithm.charge(rule, request) end
return report({1}, rules)
