-- otp.recognise: whether a device token is one of this phone's.
-- EFFECT read
-- KEYS devices    zset    otp:{<ref>}:dev   mark of a device token -> its end in ms
-- ARGV now_ms     int     0: the server's clock
-- ARGV device     text    mark of the token shown
-- REPLY {0}               unknown, or forgotten
-- REPLY {1}               one of its own
-- @include clock
if tonumber(redis.call('ZSCORE', devices, device) or 0) <= clock(now_ms) then return {0} end
return {1}
