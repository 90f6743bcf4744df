-- What befell a task before, of all its fields; nil = nothing: {id, crashes, parked_at, canceled, expires_at}.
-- canceled: 1 or 0; expires_at: Unix ms, 0 = never.
local function past_of(id, task)
  if not (task.crashes or task.parked_at or task.canceled or task.expires_at) then return nil end
  return {id, tonumber(task.crashes) or 0, tonumber(task.parked_at) or 0, task.canceled and 1 or 0, tonumber(task.expires_at) or 0}
end
