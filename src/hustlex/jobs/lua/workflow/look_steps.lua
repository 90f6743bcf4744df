-- jobs.look_steps: what became of steps of workflows.
-- EFFECT read
-- KEYS keys...  hash  asynq:{<queue>}:x:step:<id> and asynq:{<queue>}:t:<id> of each step
-- REPLY {1, rows}     per step: phase of its record ("" none), state of its task ("" none), result, then (JSON)
-- @include fields
local reply = {1}
for n = 1, #KEYS, 2 do
  local step = fields(KEYS[n], 'phase', 'then')
  local task = fields(KEYS[n + 1], 'state', 'result')
  reply[#reply + 1] = step[1] or ''
  reply[#reply + 1] = task[1] or ''
  reply[#reply + 1] = task[2] or ''
  reply[#reply + 1] = step[2] or ''
end
return reply
