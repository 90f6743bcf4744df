-- otp.unlock: forget a lane's lock and wrong codes, by an administrator's will.
-- EFFECT idempotent
-- ALLOW-OOM it only frees memory
-- KEYS fail     zset    otp:{<ref>}:fail:<lane>     <cid>#<generation>.<attempt> -> ms
-- KEYS lock     hash    otp:{<ref>}:lock:<lane>     until (ms), level
-- REPLY {0}             there was neither
-- REPLY {1}             forgotten
if redis.call('DEL', fail, lock) == 0 then return {0} end
return {1}
