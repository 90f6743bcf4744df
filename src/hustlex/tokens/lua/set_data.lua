-- tokens.set_data: replace the application's data of a living session.
-- EFFECT idempotent
-- KEYS record      hash      session:{<uref>}:<sid>
-- KEYS index       zset      sessions:{<uref>}
-- KEYS marker      string    jwt:revoked_before:{<uref>}
-- KEYS data        hash      session:{<uref>}:<sid>:d
-- ARGV now_ms      int       0: the server's clock
-- ARGV sid         text
-- ARGV pairs...    text      name, value, name, value, ...
-- REPLY {0}                  stored; the data lives as long as the session
-- REPLY {1}                  the session is over
-- @include clock
-- @include standing
if standing(record, index, marker, sid, clock(now_ms)) ~= '' then return {1} end
redis.call('DEL', data)
if #ARGV == 2 then return {0} end
redis.call('HSET', data, unpack(ARGV, 3))
redis.call('PEXPIRE', data, redis.call('PTTL', record))
return {0}
