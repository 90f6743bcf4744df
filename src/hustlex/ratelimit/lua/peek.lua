-- ratelimit.peek: what ratelimit.check would answer, without writing.
-- EFFECT read
-- KEYS keys...   mixed   as in ratelimit.check
-- ARGV now_ms    int     0: the server's clock
-- ARGV rules...  mixed   as in ratelimit.check
-- REPLY <0 time>         the server's window is not declared: correct the guess and repeat
-- REPLY <1 time bits ...> would be allowed; as in ratelimit.check
-- REPLY <2 time bits ...> would be denied
-- REPLY <3 time rest at>  is banned
local given_ms = now_ms
-- @include moment
-- @include rules
-- @include verdict
local us = seconds * 1000000 + micros
local rules = read_rules(2, now, us)
if not rules then return '0 ' .. seconds .. ' ' .. micros end
local rest, place = banned(rules, now)
if rest > 0 then return '3 ' .. seconds .. ' ' .. micros .. ' ' .. rest .. ' ' .. place end
return report(refused(rules) and 2 or 1, rules)
