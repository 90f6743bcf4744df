-- Give a message the next offset, keep it and send it. known: epoch and last offset, as HMGET answers them. Where none is
-- known a new epoch begins, and history that is left over goes, as it is of another one; so it does where the history is
-- newer than what is known, and behind the largest offset that all clients can write.
-- The stream is written first: where it, or a full server, refuses that, nothing was written. Asking TYPE of both keys
-- first costs as much as two of the writes.
-- channel: "" in a cluster, where the sharded one is meant.
local LAST_OFFSET = 9007199254740991

local function add(call, stream, size, offset, payload, stamp)
  local trim = tonumber(size) < 100 and '=' or '~'
  return call('XADD', stream, 'MAXLEN', trim, size, offset .. '-0', 'd', payload, 't', stamp)
end

local function keep(stream, meta, channel, known, fresh, stamp, payload, size, keep_ms, meta_ms)
  local epoch, last = known[1], tonumber(known[2] or 0)
  local offset = string.format('%.0f', last + 1)
  local added = epoch and last < LAST_OFFSET and add(redis.pcall, stream, size, offset, payload, stamp)
  if type(added) == 'string' then
    redis.call('HSET', meta, 's', offset)
  else
    redis.call('XLEN', stream) -- what is no stream ends it here
    epoch, offset = fresh, '1'
    redis.call('HSET', meta, 'e', epoch, 's', offset) -- and a full server here
    redis.call('DEL', stream)
    add(redis.call, stream, size, offset, payload, stamp)
  end
  redis.call('PEXPIRE', stream, keep_ms)
  redis.call('PEXPIRE', meta, meta_ms)
  local wire = '1 ' .. epoch .. ' ' .. offset .. ' ' .. stamp .. '\n' .. payload
  if channel == '' then
    redis.call('SPUBLISH', string.sub(meta, 1, -3), wire)
  else
    redis.call('PUBLISH', channel, wire)
  end
  return epoch, offset
end
