-- events.publish: stamp one live message with the server's clock and send it to whoever listens now.
-- EFFECT once
-- ARGV channel  str    <prefix>ev:<name>, a pub/sub channel and not a key
-- ARGV now_ms   int    0: the server's clock
-- ARGV payload  bytes  the event as JSON
-- REPLY {0, receivers}  sent; connections subscribed on this node, a hint
-- @include clock
local stamp = string.format('%.0f', clock(now_ms))
return {0, redis.call('PUBLISH', channel, '1 - 0 ' .. stamp .. '\n' .. payload)}
