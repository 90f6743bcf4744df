-- The state of a task that exists: "" when something else has its key, nil when nothing has.
local function state_of(task)
  if redis.call('EXISTS', task) == 0 then return nil end
  local state = redis.pcall('HGET', task, 'state')
  return type(state) == 'string' and state or ''
end
