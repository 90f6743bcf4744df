-- End a session: secrets first, then the mark, which stays as long as an access token of it may live.
-- Deletions pass on a full server, and after one the server lets the script's other writes pass as well.
local function bury(record, index, data, sid, state, reason, keep_ms)
  redis.call('HDEL', record, 'cur', 'prev', 'slt')
  redis.call('ZREM', index, sid)
  redis.call('DEL', data)
  redis.call('HSET', record, 'st', state, 'rsn', reason)
  redis.call('PEXPIRE', record, keep_ms)
end
