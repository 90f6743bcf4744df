-- events.publish_sharded: as events.publish, in a cluster: told at the one node that has the channel's slot.
-- EFFECT once
-- KEYS channel  channel  <prefix>ev:{<name>}, a sharded pub/sub channel
-- ARGV now_ms   int      0: the server's clock
-- ARGV payload  bytes    the event as JSON
-- REPLY {0, receivers}   sent; connections subscribed, a hint
-- @include clock
local stamp = string.format('%.0f', clock(now_ms))
return {0, redis.call('SPUBLISH', channel, '1 - 0 ' .. stamp .. '\n' .. payload)}
