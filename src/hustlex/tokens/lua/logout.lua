-- tokens.logout: end a session and forbid one access token for the rest of its life.
-- EFFECT idempotent
-- ALLOW-OOM takes rights away
-- KEYS record      hash      session:{<uref>}:<sid>
-- KEYS index       zset      sessions:{<uref>}
-- KEYS data        hash      session:{<uref>}:<sid>:d
-- KEYS blacklist   string    jwt:blacklist:{<uref>}.<random>, a jti
-- ARGV now_ms      int       0: the server's clock
-- ARGV sid         text
-- ARGV until_ms    int       first moment the access token is not good, leeway included
-- ARGV keep_ms     int       how long a record outlives its session
-- REPLY {0, ended, matters}  ended 1: by this call; 0: it was over. matters 1: tokens of it may be alive elsewhere
-- @include clock
-- @include bury
local left = until_ms - clock(now_ms)
if left > 0 then redis.call('SET', blacklist, 1, 'PX', left) end
local st = redis.call('HGET', record, 'st')
local ended = redis.call('ZREM', index, sid)
if st == 'a' then bury(record, index, data, sid, 'r', 'logout', keep_ms) end
return {0, ended, (st or left > 0) and 1 or 0}
