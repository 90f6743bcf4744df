-- otp.close_breaker: let a scope's messages pass again, by an operator's will; its hour begins anew, or it would trip at once.
-- EFFECT idempotent
-- ALLOW-OOM it only frees memory
-- KEYS meter       hash  as in otp.reserve
-- REPLY {0}              nothing is slowed down
-- REPLY {1}              they pass
-- @include meter
-- @include reopen
local fields = read_meter(meter)
if not fields.next then return {0} end
reopen(meter)
forget_hour(meter, fields)
return {1}
