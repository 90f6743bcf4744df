-- events.present: who is at a channel; forgets who gave no sign of life.
-- EFFECT idempotent
-- KEYS people  zset  <prefix>ev:{<name>}:p   as in events.enter
-- KEYS infos   hash  <prefix>ev:{<name>}:pi  as in events.enter
-- KEYS users   hash  <prefix>ev:{<name>}:pu  as in events.enter
-- ARGV now_ms  int   0: the server's clock
-- ARGV most    int   members that are listed, 0: only counted
-- REPLY {0, members, users, listed}  how many, how many, and members and infos by turns, the longest without a sign first
-- @include clock
-- @include forget_members
local now = string.format('%.0f', clock(now_ms))
while redis.call('ZCOUNT', people, '-inf', now) > 0 do forget_gone(people, infos, users, now) end
local listed = {}
if most ~= '0' then
  for _, id in ipairs(redis.call('ZRANGE', people, 0, most - 1)) do
    table.insert(listed, id)
    table.insert(listed, redis.call('HGET', infos, id) or '0 ')
  end
end
return {0, redis.call('ZCARD', people), redis.call('HLEN', users), listed}
