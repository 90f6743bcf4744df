-- Give a message the next offset, keep it and send it. epoch: what is known, false for nothing: then a new one begins, and
-- history that is left over goes, as it is of another one; so it does where the history is newer than what is known.
-- channel: "" in a cluster, where the sharded one is meant.
local function keep(stream, meta, channel, epoch, fresh, stamp, payload, size, keep_ms, meta_ms)
  if not epoch then
    epoch = fresh
    redis.call('DEL', stream)
    redis.call('HSET', meta, 'e', epoch)
  end
  local offset = string.format('%.0f', redis.call('HINCRBY', meta, 's', 1))
  local trim = tonumber(size) < 100 and '=' or '~'
  local added = redis.pcall('XADD', stream, 'MAXLEN', trim, size, offset .. '-0', 'd', payload, 't', stamp)
  if type(added) == 'table' and added.err then
    epoch, offset = fresh, '1'
    redis.call('DEL', stream)
    redis.call('HSET', meta, 'e', epoch, 's', offset)
    redis.call('XADD', stream, 'MAXLEN', trim, size, offset .. '-0', 'd', payload, 't', stamp)
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
