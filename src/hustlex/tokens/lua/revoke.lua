-- tokens.revoke: end one session.
-- EFFECT idempotent
-- ALLOW-OOM takes rights away
-- KEYS record      hash      session:{<uref>}:<sid>
-- KEYS index       zset      sessions:{<uref>}
-- KEYS data        hash      session:{<uref>}:<sid>:d
-- ARGV sid         text
-- ARGV reason      text
-- ARGV client      text      only if the session belongs to this one; empty: whoever's it is
-- ARGV keep_ms     int       how long a record outlives its session
-- REPLY {0, ended, matters}  ended 1: by this call; 0: it was over. matters 0: this user has no such session
-- REPLY {1}                  it is another client's
-- @include bury
local f = redis.call('HMGET', record, 'st', 'cid')
if client ~= '' and f[2] and f[2] ~= client then return {1} end
local ended = redis.call('ZREM', index, sid)
if f[1] == 'a' then bury(record, index, data, sid, 'r', reason, keep_ms) end
return {0, ended, (ended == 1 or f[1]) and 1 or 0}
