-- events.append: keep one message in a channel's history and send it to whoever listens now, in one step.
-- EFFECT once
-- KEYS stream    stream  <prefix>ev:{<name>}:s       ids are the offsets (42-0); d: payload, t: when
-- KEYS meta      hash    <prefix>ev:{<name>}:m       e: epoch, s: last offset, v: last version
-- KEYS once      hash    <prefix>ev:{<name>}:i:<id>  e, s: where the message with this id went
-- ARGV channel   str     <prefix>ev:<name>, a pub/sub channel and not a key
-- ARGV now_ms    int     0: the server's clock
-- ARGV fresh     str     the epoch, should there be none: history that is left over is of another one, and goes
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
if idem_ms ~= '0' then
  local sent = redis.call('HMGET', once, 'e', 's')
  if sent[1] then return {1, sent[1], sent[2]} end
end
local known = redis.call('HMGET', meta, 'e', 's', 'v')
local epoch = known[1]
if not epoch then
  epoch = fresh
  redis.call('DEL', stream)
  redis.call('HSET', meta, 'e', epoch)
end
if version ~= '0' then
  if known[3] and tonumber(known[3]) >= tonumber(version) then return {2, epoch, known[2] or '0'} end
  redis.call('HSET', meta, 'v', version)
end
local stamp = string.format('%.0f', clock(now_ms))
local offset = string.format('%.0f', redis.call('HINCRBY', meta, 's', 1))
local trim = tonumber(size) < 100 and '=' or '~'
local added = redis.pcall('XADD', stream, 'MAXLEN', trim, size, offset .. '-0', 'd', payload, 't', stamp)
if type(added) == 'table' and added.err then -- the history is newer than what is known of it: neither can be trusted
  epoch, offset = fresh, '1'
  redis.call('DEL', stream)
  redis.call('HSET', meta, 'e', epoch, 's', offset)
  redis.call('XADD', stream, 'MAXLEN', trim, size, offset .. '-0', 'd', payload, 't', stamp)
end
redis.call('PEXPIRE', stream, keep_ms)
redis.call('PEXPIRE', meta, meta_ms)
if idem_ms ~= '0' then
  redis.call('HSET', once, 'e', epoch, 's', offset)
  redis.call('PEXPIRE', once, idem_ms)
end
redis.call('PUBLISH', channel, '1 ' .. epoch .. ' ' .. offset .. ' ' .. stamp .. '\n' .. payload)
return {0, epoch, offset}
