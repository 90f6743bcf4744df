-- Free the lock of a task that ends, if it was taken until something happens; one that was taken for a time stays.
local function end_lock(task, id)
  local lock = redis.call('HMGET', task, 'unique_until', 'unique_key')
  if lock[1] and lock[2] and redis.call('GET', lock[2]) == id then redis.call('DEL', lock[2]) end
end
