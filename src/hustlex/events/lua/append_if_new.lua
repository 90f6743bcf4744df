-- events.append_if_new: as events.append, but for a message that was sent before, or a state that is out of date.
-- EFFECT once
-- KEYS stream    stream  <prefix>ev:{<name>}:s       as in events.append
-- KEYS meta      hash    <prefix>ev:{<name>}:m       as in events.append
-- KEYS once      hash    <prefix>ev:{<name>}:i:<id>  e, s: where the message with this id went
-- ARGV channel   str     <prefix>ev:<name>, a pub/sub channel and not a key; "": the sharded one, <prefix>ev:{<name>}
-- ARGV now_ms    int     0: the server's clock
-- ARGV fresh     str     the epoch, should there be none
-- ARGV payload   bytes   the event as JSON
-- ARGV size      int     messages kept, or some more
-- ARGV keep_ms   int     how long after the last one
-- ARGV meta_ms   int     how long the epoch is remembered
-- ARGV idem_ms   int     how long the id is remembered; 0: there is none
-- ARGV version   int     of a state: what is no newer than the last is dropped; 0: there is none
-- REPLY {0, epoch, offset}  sent
-- REPLY {1, epoch, offset}  sent before under this id, to there; nothing was done
-- REPLY {2, epoch, offset}  older than the state that was sent last; nothing was done
-- @include clock
-- @include keep
if idem_ms ~= '0' then
  local sent = redis.call('HMGET', once, 'e', 's')
  if sent[1] then return {1, sent[1], sent[2]} end
end
local known = redis.call('HMGET', meta, 'e', 's', 'v')
if version ~= '0' and known[1] and known[3] and tonumber(known[3]) >= tonumber(version) then
  return {2, known[1], known[2] or '0'}
end
local stamp = string.format('%.0f', clock(now_ms))
local epoch, offset = keep(stream, meta, channel, known, fresh, stamp, payload, size, keep_ms, meta_ms)
if version ~= '0' then redis.call('HSET', meta, 'v', version) end
if idem_ms ~= '0' then
  redis.call('HSET', once, 'e', epoch, 's', offset)
  redis.call('PEXPIRE', once, idem_ms)
end
return {0, epoch, offset}
