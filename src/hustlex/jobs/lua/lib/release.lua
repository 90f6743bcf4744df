-- @include fields
-- Take a task from its holder: out of active and lease. False, and nothing touched, when this holder has it no more.
local function release(active, lease, tasks, id, holder)
  if field(tasks .. id, 'owner') ~= holder then return false end
  if redis.call('LREM', active, -1, id) == 0 then return false end
  redis.call('ZREM', lease, id)
  return true
end
