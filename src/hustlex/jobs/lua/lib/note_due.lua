-- Note to the millisecond when a task is due within a minute, for our own forwarders; scores in Asynq's sets are whole
-- seconds, and a later one starts by its score. An entry takes 120 bytes.
-- They are told when it became the first of its queue. Entries that are over (who moved the task left them) go, 5 a call.
local function note_due(prefix, id, at_ms, now)
  if at_ms - now > 60000 then return end
  local due, at = prefix .. 'x:due', string.format('%.0f', at_ms)
  if type(redis.pcall('ZADD', due, at, id)) == 'table' then return end  -- the seconds in Asynq's set must do
  local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
  local stale = tonumber(first[2]) < now - 1000
  if stale then redis.call('ZREM', due, unpack(redis.call('ZRANGEBYSCORE', due, '-inf', now - 1000, 'LIMIT', 0, 5))) end
  local life_s = math.ceil((at_ms - now) / 1000) + 60
  if redis.call('TTL', due) < life_s then redis.call('EXPIRE', due, string.format('%.0f', life_s)) end
  if stale or first[1] == id then redis.pcall('PUBLISH', due, at) end  -- an ACL may forbid it
end
