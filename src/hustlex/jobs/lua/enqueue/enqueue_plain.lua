-- jobs.enqueue_plain: what `enqueue` does, for tasks that are to run now, are not unique and in no group, as most.
-- EFFECT idempotent  as enqueue: the token's answers are kept for 10 s or more
-- KEYS pending    list   asynq:{<queue>}:pending
-- TOUCHES asynq:{<queue>}:t:<id>  asynq:{<queue>}:x:sent:<letters of the token>
-- TOUCHES asynq:{<queue>}:x:limit  and, when it exists, all that holds unfinished tasks
-- ARGV now_ms     int    0: the server's clock
-- ARGV prefix     text   asynq:{<queue>}:
-- ARGV token      text   names this call
-- ARGV items...   two per task: id, message
-- REPLY {1, answers}     per task: 1 pending, {0, state} of the task that has the id, or {size, limit} of the full queue
-- @include clock
-- @include recall
-- @include room_left
-- @include wishes
local limited = redis.call('EXISTS', prefix .. 'x:limit') == 1
local room, limit
if limited then room, limit = room_left(prefix) end -- before the receipt: if it ends here, nothing was promised
local answered = recall(prefix, token, (#ARGV - 3) / 2, function() return 1 end)
if answered then return answered end

local since = string.format('%.0f000000', clock(now_ms))
local fresh, reply, usual = {}, {1}, true
for n = 4, #ARGV, 2 do
  local task, answer = prefix .. 't:' .. ARGV[n], 1
  local state = state_of(task)
  if state then answer = {0, state} elseif room and room < 1 then answer = {limit - room, limit} end
  if answer == 1 then
    redis.call('HSET', task, 'msg', ARGV[n + 1], 'state', 'pending', 'pending_since', since)
    fresh[#fresh + 1], room = ARGV[n], room and room - 1
  end
  reply[#reply + 1], usual = answer, usual and answer == 1
end
local pushed = #fresh == 0 or redis.pcall('LPUSH', pending, unpack(fresh))
if type(pushed) == 'table' then -- the key holds another type: leave nothing half done, and no receipt that says more
  for _, id in ipairs(fresh) do redis.call('DEL', prefix .. 't:' .. id) end
  retract(prefix, token)
  return pushed
end
if not usual then unusual(prefix, token, reply) end
return reply
