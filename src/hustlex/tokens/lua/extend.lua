-- Keep a session's record and data until it must end, and as long again as its last access token may live.
local function extend(record, data, ends_ms, idle_ms, now, keep_ms)
  local life = math.min(tonumber(ends_ms), now + idle_ms) - now + keep_ms
  redis.call('PEXPIRE', record, life)
  redis.call('PEXPIRE', data, life)
end
