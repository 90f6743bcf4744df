-- What a task is, so that it can be put back: its place, since when it is pending, its lock and what is left of that, a
-- digest of its message, and all its fields if they are to go.
local function kept_of(prefix, id, state, group, whole)
  local task, score = prefix .. 't:' .. id, '0'
  if state == 'aggregating' then score = redis.call('ZSCORE', prefix .. 'g:' .. (group or ''), id) or '0'
  elseif state ~= 'pending' then score = redis.call('ZSCORE', prefix .. state, id) or '0' end
  local message, since, lock = unpack(redis.call('HMGET', task, 'msg', 'pending_since', 'unique_key'))
  local held = lock and lock ~= '' and redis.pcall('GET', lock) == id
  return {state, group or '', score, since or '', held and lock or '', held and redis.call('PTTL', lock) or 0,
    redis.sha1hex(message or ''), whole and redis.call('HGETALL', task) or {}}
end
