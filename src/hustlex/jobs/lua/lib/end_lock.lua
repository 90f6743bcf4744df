-- @include fields
-- Free the lock of a task that ends, if it was taken until something happens, or the task was cancelled; else one that
-- was taken for a time stays.
local function end_lock(task, id)
  local lock = fields(task, 'unique_until', 'unique_key', 'canceled')
  if lock[1] or lock[3] then free(lock[2], id) end
end
