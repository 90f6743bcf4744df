-- @include fields
-- Give a task's uniqueness lock back, if the task still holds it.
local function release_lock(task, id)
  free(field(task, 'unique_key'), id)
end
