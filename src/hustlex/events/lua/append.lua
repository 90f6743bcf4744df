-- events.append: keep one message in a channel's history and send it to whoever listens now, in one step.
-- EFFECT once
-- KEYS stream   any     <prefix>ev:{<name>}:s  a stream: ids are the offsets (42-0); d: payload, t: when
-- KEYS meta     any     <prefix>ev:{<name>}:m  a hash: e: epoch, s: last offset, v: last version
-- ARGV channel  str     <prefix>ev:<name>, a pub/sub channel and not a key; "": the sharded one, <prefix>ev:{<name>}
-- ARGV size     int     messages kept, or some more
-- ARGV keep_ms  int     how long after the last one
-- ARGV meta_ms  int     how long the epoch is remembered
-- ARGV now_ms   int     0: the server's clock
-- ARGV fresh    str     the epoch, should there be none
-- ARGV payload  bytes   the event as JSON
-- REPLY {0, epoch, offset}  sent
-- @include clock
-- @include keep
local stamp, known = string.format('%.0f', clock(now_ms)), redis.call('HMGET', meta, 'e', 's')
local epoch, offset = keep(stream, meta, channel, known, fresh, stamp, payload, size, keep_ms, meta_ms)
return {0, epoch, offset}
