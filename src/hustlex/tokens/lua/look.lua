-- tokens.look: what became of one session, and up to when everything of its user is revoked; for an operator.
-- EFFECT read
-- KEYS record      hash      session:{<uref>}:<sid>
-- KEYS index       zset      sessions:{<uref>}
-- KEYS marker      string    jwt:revoked_before:{<uref>}
-- ARGV now_ms      int       0: the server's clock
-- ARGV sid         text
-- REPLY {why, line, gen, born_ms, last_ms, ends_ms, client, bound}   why it is over, empty while it lives; ms, 0: never;
--                            its refresh token's number, empty when nothing is known; 1: bound to a key
-- @include clock
-- @include standing
local why, line, f = standing(record, index, marker, sid, clock(now_ms))
local gen, client, jkt = unpack(redis.call('HMGET', record, 'gen', 'cid', 'jkt'))
return {why, line, gen or '', f[3] or '', f[5] or '', f[4] or '', client or '', jkt and 1 or 0}
