-- Append to a job's stream, keep it short and alive for a day more, and wake those that follow it. Answers the position.
local function append_item(stream, ...)
  local position = redis.call('XADD', stream, 'MAXLEN', '~', 1000, '*', ...)
  redis.call('EXPIRE', stream, 86400)
  redis.call('PUBLISH', stream, position)
  return position
end
