-- events.enter: note who is at a channel; again for a sign of life.
-- EFFECT idempotent
-- KEYS people      zset  <prefix>ev:{<name>}:p   members, by when they are gone without another sign
-- KEYS infos       hash  <prefix>ev:{<name>}:pi  member: since when (ms), a blank, and its user
-- KEYS users       hash  <prefix>ev:{<name>}:pu  user: how many members
-- ARGV now_ms      int   0: the server's clock
-- ARGV life_ms     int   how long without a sign
-- ARGV entries...  str   a member and its user ("": nobody is known) by turns
-- REPLY {0, new}   how many were not there
-- @include clock
-- @include forget_members
local now, new = clock(now_ms), 0
forget_gone(people, infos, users, string.format('%.0f', now))
local ends = string.format('%.0f', now + life_ms)
for at = 3, #ARGV, 2 do
  local id, user = ARGV[at], ARGV[at + 1]
  if redis.call('HSETNX', infos, id, string.format('%.0f', now) .. ' ' .. user) == 1 then
    new = new + 1
    if user ~= '' then redis.call('HINCRBY', users, user, 1) end
  end
  redis.call('ZADD', people, ends, id)
end
redis.call('PEXPIRE', people, life_ms)
redis.call('PEXPIRE', infos, life_ms)
redis.call('PEXPIRE', users, life_ms)
return {0, new}
