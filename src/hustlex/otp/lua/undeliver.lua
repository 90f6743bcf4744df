-- otp.undeliver: the last message of a challenge reached nobody: its send and what it took of the caps are given back.
-- EFFECT once
-- ALLOW-OOM it makes room
-- KEYS record    hash    otp:{<ref>}:<purpose>:<cid>; bound to the subject: otp:{<ref>}:<purpose>, or otp:{<ref>}
-- KEYS sends     zset    otp:{<ref>}:sends, other lanes: with :<lane>   see sending.lua
-- KEYS cool      string  otp:{<ref>}:cool, other lanes: with :<lane>    an older pause
-- ARGV cid       text    the challenge
-- ARGV unqueued  int     1: nobody was even asked to send it, so neither the pause nor the number was used
-- REPLY {0}              nothing to give back: unknown, used, or given back before
-- REPLY {1, ticket}      what is to be given back to the caps; empty without caps
-- @include parts
-- @include listed
-- @include sending
local st, id, number, tickets, by = unpack(redis.call('HMGET', record, 'st', 'cid', 'sends', 'tickets', 'by'))
if (id or cid) ~= cid or st ~= 'active' or unsend(sends, by, cid, number) == 0 then return {0} end
-- Whoever takes that place next keeps it, though this report comes again.
if by then redis.call('HDEL', record, 'by') end
local before, last = string.match(joined(record, 'tickets', tickets), '^(.-)([^|]*)$')
redis.call('HSET', record, in_parts('tickets', before .. '!' .. last))
if unqueued == '1' then
  redis.call('HSET', record, 'next', 0, 'sends', number - 1)
  warm(sends, cool, cid)
end
return {1, last}
