-- events.append_several: as events.append for several messages, one after the other; none fails for another one's sake.
-- EFFECT once
-- KEYS places...    any    <prefix>ev:{<name>}:s and <prefix>ev:{<name>}:m of each by turns, as in events.append
-- ARGV size         int    messages kept, or some more
-- ARGV keep_ms      int    how long after the last one
-- ARGV meta_ms      int    how long the epoch is remembered
-- ARGV now_ms       int    0: the server's clock
-- ARGV fresh        str    the epoch of each channel that has none
-- ARGV payloads...  bytes  the events as JSON
-- REPLY {0, places}  epoch and offset of each by turns; offset 0: nothing was done, and by itself it would be told why
-- @include clock
-- @include keep
local stamp, places = string.format('%.0f', clock(now_ms)), {}

local function append(stream, meta, payload)
  local channel = string.gsub(string.sub(meta, 1, -4), '{', '')
  local known = redis.call('HMGET', meta, 'e', 's')
  return keep(stream, meta, channel, known, fresh, stamp, payload, size, keep_ms, meta_ms)
end

for at = 1, #KEYS, 2 do
  local fine, epoch, offset = pcall(append, KEYS[at], KEYS[at + 1], ARGV[(at + 11) / 2])
  places[at], places[at + 1] = fine and epoch or '', fine and offset or '0'
end
return {0, places}
