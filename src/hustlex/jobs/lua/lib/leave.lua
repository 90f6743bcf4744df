-- Take a task that is not active out of the place its state names; false when it is not there.
local function leave(prefix, id, state, group)
  if state == 'pending' then return redis.call('LREM', prefix .. 'pending', 1, id) > 0 end
  if state ~= 'aggregating' then return redis.call('ZREM', prefix .. state, id) > 0 end
  local members = prefix .. 'g:' .. (group or '')
  if redis.call('ZREM', members, id) == 0 then return false end
  if redis.call('ZCARD', members) == 0 then redis.pcall('SREM', prefix .. 'groups', group) end
  return true
end
