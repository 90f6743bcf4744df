-- Give a scheduled or retried task another start; its uniqueness lock follows a later one. False when it is not there.
-- @include note_due
local function move_start(prefix, id, state, due_ms, now)
  local place, lock = prefix .. state, redis.call('HGET', prefix .. 't:' .. id, 'unique_key')
  local was_s = tonumber(redis.call('ZSCORE', place, id) or '')
  if not was_s then return false end
  redis.call('ZADD', place, string.format('%.0f', math.ceil(due_ms / 1000)), id)
  note_due(prefix, id, due_ms, now)
  local later_ms = due_ms - was_s * 1000
  if later_ms > 0 and lock and redis.call('GET', lock) == id then
    redis.call('PEXPIRE', lock, string.format('%.0f', redis.call('PTTL', lock) + later_ms))
  end
  return true
end
