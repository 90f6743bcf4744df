-- ratelimit.peek: what ratelimit.check would answer, without writing.
-- EFFECT read
-- KEYS keys...   mixed   as in ratelimit.check
-- ARGV now_ms    int     0: the server's clock
-- ARGV rules...  mixed   as in ratelimit.check
-- REPLY {0, now_ms}      the server's window is not declared: correct the guess and repeat
-- REPLY {1, state}       would be allowed; state as in ratelimit.check
-- REPLY {2, state}       would be denied
-- @include counter
-- @include log
-- @include rules
local us = microseconds(now_ms)
local rules = read_rules(2, us)
if not rules then return {0, math.floor(us / 1000)} end
if judge(rules) then return report({1}, rules) end
return report({2}, rules)
