-- Give a task's uniqueness lock back, if the task still holds it.
local function release_lock(task, id)
  local lock = redis.call('HGET', task, 'unique_key')
  if lock and lock ~= '' and redis.call('GET', lock) == id then redis.call('DEL', lock) end
end
