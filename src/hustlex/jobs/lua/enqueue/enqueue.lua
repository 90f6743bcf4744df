-- jobs.enqueue: put new tasks into one queue, each with an answer of its own.
-- EFFECT idempotent      the token's answers are kept for 10 s or more: a repeat gets them and changes nothing,
--                        even when the tasks are finished and gone by then
-- KEYS pending    list   asynq:{<queue>}:pending
-- KEYS scheduled  zset   asynq:{<queue>}:scheduled
-- KEYS groups     set    asynq:{<queue>}:groups
-- TOUCHES asynq:{<queue>}:t:<id>  asynq:{<queue>}:g:<group>  asynq:{<queue>}:x:sent:<letters of the token>  asynq:{<queue>}:x:due
--         and each task's lock
-- TOUCHES asynq:{<queue>}:x:limit  and, when it exists, all that holds unfinished tasks, and asynq:{<queue>}:x:grouped
-- ARGV now_ms     int    0: the server's clock
-- ARGV prefix     text   asynq:{<queue>}:
-- ARGV token      text   names this call
-- ARGV items...   eight per task: id, message, due ("" now, "+<ms>" later, "<ms>" at), lock key, lock ttl in s, group,
--                        until ("", "started", "done" or "debounce"), wishes ("", or JSON)
-- REPLY {1, answers}     per task, as place says: 1 pending, 2 scheduled, 3 aggregating, the id that holds the lock, {0, state}
--                        of the task that has the id, {id} of the one that waits anew, or {size, limit} of a full queue
-- @include clock
-- @include recall
-- @include place
-- @include room_left
local now = clock(now_ms)
local fresh = #ARGV > 11 and {redis.call('LLEN', pending)} or nil -- if it holds another type, the script ends here
local room, limit = room_left(prefix) -- before the receipt, as well
-- By what was asked alone: the same at a repeat, whatever the time is then.
local function expected(n) return ARGV[8 * n - 2] ~= '' and 2 or ARGV[8 * n + 1] ~= '' and 3 or 1 end

local answered = recall(prefix, token, (#ARGV - 3) / 8, expected)
if answered then return answered end

local queue = {prefix = prefix, now = now, pending = pending, scheduled = scheduled, groups = groups, fresh = fresh}
queue.room, queue.limit = room, limit
local reply, usual, placed, answer = {1}, true, true, nil
for n = 4, #ARGV, 8 do
  placed, answer = pcall(place, queue, unpack(ARGV, n, n + 7))
  if not placed then break end
  reply[#reply + 1] = answer
  usual = usual and answer == expected((n + 4) / 8)
end
if fresh and #fresh > 1 then redis.call('LPUSH', pending, unpack(fresh, 2)) end
if not placed then -- a key holds another type: those before it are complete, and no receipt says more
  retract(prefix, token)
  return redis.error_reply(answer)
end
if not usual then unusual(prefix, token, reply) end
return reply
