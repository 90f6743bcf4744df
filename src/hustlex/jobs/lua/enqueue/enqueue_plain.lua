-- jobs.enqueue_plain: what `enqueue` does, for tasks that are to run now, are not unique and in no group, as most.
-- EFFECT idempotent  as enqueue: the token's answers are kept for 10 s or more
-- KEYS pending    any    asynq:{<queue>}:pending
-- TOUCHES asynq:{<queue>}:t:<id>  asynq:{<queue>}:x:sent:<letters of the token>
-- TOUCHES asynq:{<queue>}:x:limit  and, when it exists, all that holds unfinished tasks, and asynq:{<queue>}:x:grouped
-- ARGV prefix     text   asynq:{<queue>}:
-- ARGV since      int    the server's time in Unix ns, as Asynq writes it; 0: look at its clock
-- ARGV token      text   names this call
-- ARGV items...   two per task: id, message
-- REPLY int             1: all are pending, as most
-- REPLY {1, answers}     per task: 1 pending, {0, state} of the task that has the id, or {size, limit} of the full queue
-- @include receipt
-- One task, a time, a queue without a limit, a name that is free: of all enqueues nearly all. Each function and table that
-- is not made, and each answer that is a number, is as much as a command.
local alone = #ARGV == 5 and since ~= '0' and prefix .. 't:' .. ARGV[4]
if alone and redis.call('EXISTS', prefix .. 'x:limit', alone) == 0 and noted(prefix, token) then
  local pushed = redis.pcall('LPUSH', pending, ARGV[4])
  if type(pushed) == 'table' then -- the key holds another type
    retract(prefix, token)
    return pushed
  end
  redis.call('HSET', alone, 'msg', ARGV[5], 'state', 'pending', 'pending_since', since)
  return 1
end
-- @include recall
-- @include room_left
-- @include state_of
local tasks, doubtful, room, limit = (#ARGV - 3) / 2, {prefix .. 'x:limit'}, nil, nil
for n = 1, tasks do doubtful[n + 1] = prefix .. 't:' .. ARGV[2 * n + 2] end
local free = redis.call('EXISTS', unpack(doubtful)) == 0
if not free then room, limit = room_left(prefix) end -- before the receipt: if it ends here, nothing was promised
local answered = recall(prefix, token, tasks, function() return 1 end)
if answered then return answered end

if since == '0' then
  local t = redis.call('TIME')
  since = t[1] .. string.sub('00000' .. t[2], -6) .. '000'
end
local fresh, put, reply, usual = {}, {}, {1}, true
for n = 4, #ARGV, 2 do
  local name, answer = ARGV[n], 1
  local task = prefix .. 't:' .. name
  local state = (put[name] or not free) and state_of(task)
  if state then answer = {0, state} elseif room and room < 1 then answer = {limit - room, limit} end
  if answer == 1 then
    redis.call('HSET', task, 'msg', ARGV[n + 1], 'state', 'pending', 'pending_since', since)
    fresh[#fresh + 1], put[name], room = name, true, room and room - 1
  end
  reply[#reply + 1], usual = answer, usual and answer == 1
end
local pushed = #fresh == 0 or redis.pcall('LPUSH', pending, unpack(fresh))
if type(pushed) == 'table' then -- leave nothing half done, and no receipt that says more
  for _, name in ipairs(fresh) do redis.call('DEL', prefix .. 't:' .. name) end
  retract(prefix, token)
  return pushed
end
if usual then return 1 end
unusual(prefix, token, reply)
return reply
