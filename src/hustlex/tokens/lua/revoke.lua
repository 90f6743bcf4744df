-- tokens.revoke: end one session.
-- EFFECT idempotent
-- ALLOW-OOM takes rights away
-- KEYS record      hash      session:{<uref>}:<sid>
-- KEYS index       zset      sessions:{<uref>}
-- KEYS data        hash      session:{<uref>}:<sid>:d
-- ARGV sid         text
-- ARGV reason      text
-- ARGV keep_ms     int       how long a record outlives its session
-- REPLY {0, ended}           1: this call ended it; 0: it was over
-- @include bury
local ended = redis.call('ZREM', index, sid)
if redis.call('HGET', record, 'st') == 'a' then bury(record, index, data, sid, 'r', reason, keep_ms) end
return {0, ended}
