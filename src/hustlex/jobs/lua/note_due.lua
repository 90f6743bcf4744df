-- Note to the millisecond when a task is due, for our own forwarders; scores in Asynq's sets are whole seconds.
-- They are told when it became the first of its queue. Entries that are over (who moved the task left them) go, 5 a call.
local function note_due(prefix, id, at_ms, now)
  local due, at, stale = prefix .. 'x:due', string.format('%.0f', at_ms), {}
  redis.call('ZADD', due, at, id)
  local first = redis.call('ZRANGE', due, 0, 4, 'WITHSCORES')
  for n = 1, #first, 2 do
    if tonumber(first[n + 1]) < now - 1000 then stale[#stale + 1] = first[n] end
  end
  if #stale > 0 then redis.call('ZREM', due, unpack(stale)) end
  local life_s = math.ceil((at_ms - now) / 1000) + 60
  if redis.call('TTL', due) < life_s then redis.call('EXPIRE', due, string.format('%.0f', life_s)) end
  local head = first[2 * #stale + 1]
  if not head or head == id then redis.pcall('PUBLISH', due, at) end  -- an ACL may forbid it
end
