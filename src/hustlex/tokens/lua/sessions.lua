-- tokens.sessions: which of these sessions live, and what is known of them.
-- EFFECT read
-- KEYS index       zset      sessions:{<uref>}
-- KEYS marker      string    jwt:revoked_before:{<uref>}
-- KEYS records...  hash      session:{<uref>}:<sid>, one for each sid
-- ARGV now_ms      int       0: the server's clock
-- ARGV sids...     text
-- REPLY {0, sessions}        each {sid, born_ms, last_ms, ends_ms, client, device, platform, network, last_network}
-- @include clock
-- @include standing
local now = clock(now_ms)
local alive = {}
for n = 2, #ARGV do
  local sid, record = ARGV[n], KEYS[n + 1]
  local why, _, session = standing(record, index, marker, sid, now)
  if why == '' then
    table.insert(alive, {sid, session[3], session[5], session[4],
      unpack(redis.call('HMGET', record, 'cid', 'dn', 'pf', 'ip0', 'ip1'))})
  end
end
return {0, alive}
