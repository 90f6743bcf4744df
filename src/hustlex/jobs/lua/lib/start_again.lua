-- Give a task the start back that it had, and its lock what was left of it; false when it has another one by now.
local function start_again(place, id, score, due_s, lock, left)
  if tonumber(redis.call('ZSCORE', place, id) or '') ~= tonumber(due_s) then return false end
  redis.call('ZADD', place, score, id)
  if lock ~= '' and left > 0 and redis.call('GET', lock) == id then
    redis.call('PEXPIRE', lock, string.format('%.0f', left))
  end
  return true
end
