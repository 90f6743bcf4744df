-- events.read: a channel's history behind an offset, and where it stands, of one instant.
-- EFFECT read
-- KEYS stream  stream  <prefix>ev:{<name>}:s  as in events.append
-- KEYS meta    hash    <prefix>ev:{<name>}:m  as in events.append
-- ARGV after   int     the last offset known; 0: from the oldest that is kept
-- ARGV most    int     messages
-- ARGV newest  int     1: the newest ones behind it, backwards; 0: the oldest ones
-- REPLY {0, epoch, offset, entries}  epoch: "" none; entries as XRANGE has them
local known = redis.call('HMGET', meta, 'e', 's')
local reply = {0, known[1] or '', known[2] or '0', {}}
if not known[1] or most == '0' then return reply end
if newest == '1' then
  reply[4] = redis.call('XREVRANGE', stream, '+', '(' .. after .. '-0', 'COUNT', most)
else
  reply[4] = redis.call('XRANGE', stream, '(' .. after .. '-0', '+', 'COUNT', most)
end
return reply
