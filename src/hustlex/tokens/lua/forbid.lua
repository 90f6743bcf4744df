-- tokens.forbid: forbid one access token for the rest of its life; its session goes on.
-- EFFECT idempotent
-- ALLOW-OOM takes rights away
-- KEYS blacklist   string    jwt:blacklist:{<uref>}.<random>, a jti
-- ARGV now_ms      int       0: the server's clock
-- ARGV until_ms    int       first moment the access token is not good, leeway included
-- REPLY {0, left_ms}         for how long; 0: it is dead already
-- @include clock
local left = math.max(0, until_ms - clock(now_ms))
if left > 0 then redis.call('SET', blacklist, 1, 'PX', left) end
return {0, left}
