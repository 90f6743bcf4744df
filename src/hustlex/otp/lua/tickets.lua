-- otp.tickets: what the last message of a challenge took of the caps, which names the scopes that a further one is in.
-- EFFECT read
-- KEYS record   hash    otp:{<ref>}:<purpose>:<cid>; bound to the subject: otp:{<ref>}:<purpose>, or otp:{<ref>}
-- ARGV cid      text    the challenge
-- REPLY {0}             no such open challenge
-- REPLY {1, ticket}     see hustlex.otp.tickets; empty without caps
-- @include parts
local st, id, tickets = unpack(redis.call('HMGET', record, 'st', 'cid', 'tickets'))
if st ~= 'active' or (id or cid) ~= cid then return {0} end
return {1, string.match(joined(record, 'tickets', tickets), '[^|]*$')}
