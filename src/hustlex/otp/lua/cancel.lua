-- otp.cancel: void an open challenge; when it was never sent, give the send and the pause back.
-- EFFECT idempotent
-- ALLOW-OOM it takes a right away
-- KEYS record   hash    otp:{<ref>}:<purpose>:<cid>; bound to the subject: otp:{<ref>}:<purpose>, or otp:{<ref>}
-- KEYS list     zset    otp:{<ref>}:sends, other lanes: with :<lane>   where it is listed, see listed.lua
-- KEYS act      zset    otp:{<ref>}:act:<purpose>, other lanes: with :<lane>; names its place there; the older list
-- KEYS sends    zset    otp:{<ref>}:sends, other lanes: with :<lane>   see sending.lua
-- KEYS cool     string  otp:{<ref>}:cool, other lanes: with :<lane>    an older pause
-- ARGV cid      text    the challenge
-- ARGV unsent   int     1: its last send did not happen
-- REPLY {0}             there was nothing to void
-- REPLY {1, tickets}    void now; what of the caps its last send gives back, empty when it was sent
-- @include attempts
-- @include sending
local st, id, sent, tickets, by = unpack(redis.call('HMGET', record, 'st', 'cid', 'sends', 'tickets', 'by'))
if not st or (id or cid) ~= cid or (st ~= 'active' and st ~= 'void') then return {0} end
if st == 'void' then return {1, ''} end
tickets = joined(record, 'tickets', tickets)
close(record, list, act, cid, 'void')
if unsent == '1' then
  unsend(sends, by, cid, sent)
  warm(sends, cool, cid)
end
return {1, unsent == '1' and string.match(tickets, '[^|]*$') or ''}
