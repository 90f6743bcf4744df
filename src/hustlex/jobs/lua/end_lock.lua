-- @include fields
-- Free the lock of a task that ends, if it was taken until something happens; one that was taken for a time stays.
local function end_lock(task, id)
  local lock = fields(task, 'unique_until', 'unique_key')
  if lock[1] then free(lock[2], id) end
end
