-- tokens.data: the application's data of a living session.
-- EFFECT read
-- KEYS record      hash      session:{<uref>}:<sid>
-- KEYS index       zset      sessions:{<uref>}
-- KEYS marker      string    jwt:revoked_before:{<uref>}
-- KEYS data        hash      session:{<uref>}:<sid>:d
-- ARGV now_ms      int       0: the server's clock
-- ARGV sid         text
-- REPLY {0, pairs}           name, value, name, value, ...
-- REPLY {1}                  the session is over
-- @include clock
-- @include standing
if standing(record, index, marker, sid, clock(now_ms)) ~= '' then return {1} end
return {0, redis.call('HGETALL', data)}
