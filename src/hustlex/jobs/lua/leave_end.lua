-- Note that a task has succeeded, and with what result, for whoever waits. tasks: asynq:{<queue>}:t:
local function leave_end(tasks, id, result, seconds)
  redis.call('SET', string.sub(tasks, 1, -3) .. 'x:end:' .. id, result, 'EX', seconds)
end
