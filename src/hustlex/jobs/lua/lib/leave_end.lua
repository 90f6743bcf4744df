-- Note how a task ended, for whoever waits: '+' and its result, or '-' and why it failed. tasks: asynq:{<queue>}:t:
local function leave_end(tasks, id, how, seconds)
  redis.call('SET', string.sub(tasks, 1, -3) .. 'x:end:' .. id, how, 'EX', seconds)
end
