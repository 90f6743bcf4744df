-- otp.undeliver: the last message of a challenge reached nobody: its send and what it took of the caps are given back.
-- EFFECT once
-- ALLOW-OOM it makes room
-- KEYS record    hash    otp:{<ref>}:<purpose>:<cid>; bound to the subject: otp:{<ref>}:<purpose>, or otp:{<ref>}
-- KEYS sends     zset    otp:{<ref>}:sends, other lanes: with :<lane>   <cid>#<number> -> ms
-- KEYS cool      string  otp:{<ref>}:cool, other lanes: with :<lane>    <cid>:<length>:<end of the pause in ms>
-- ARGV cid       text    the challenge
-- ARGV unqueued  int     1: nobody was even asked to send it, so neither the pause nor the number was used
-- REPLY {0}              nothing to give back: unknown, used, or given back before
-- REPLY {1, ticket}      what is to be given back to the caps; empty without caps
-- @include sending
local st, id, number, tickets, by = unpack(redis.call('HMGET', record, 'st', 'cid', 'sends', 'tickets', 'by'))
if id ~= cid or st ~= 'active' or redis.call('ZREM', sends, (by or cid) .. '#' .. number) == 0 then return {0} end
-- Whoever takes that place next keeps it, though this report comes again.
if by then redis.call('HDEL', record, 'by') end
local before, last = string.match(tickets, '^(.-)([^|]*)$')
redis.call('HSET', record, 'tickets', before .. '!' .. last)
if unqueued == '1' then
  redis.call('HSET', record, 'next', 0, 'sends', number - 1)
  warm(cool, cid)
end
return {1, last}
