-- jobs.enqueue: put new tasks into one queue, each with an answer of its own.
-- EFFECT idempotent      the token's answers are kept for 10 s: a repeat gets them and changes nothing,
--                        even when the tasks are finished and gone by then
-- KEYS pending    list   asynq:{<queue>}:pending
-- KEYS scheduled  zset   asynq:{<queue>}:scheduled
-- KEYS groups     set    asynq:{<queue>}:groups
-- TOUCHES asynq:{<queue>}:t:<id>  asynq:{<queue>}:g:<group>  asynq:{<queue>}:x:sent:<token>  and each task's lock
-- ARGV now_ms     int    0: the server's clock
-- ARGV prefix     text   asynq:{<queue>}:
-- ARGV token      text   names this call
-- ARGV items...   six per task: id, message, due ("" now, "+<ms>" later, "<ms>" at), lock key, lock ttl in s, group
-- REPLY {1, answers}     per task: 1 pending, 2 scheduled, 3 aggregating, 0 id taken, or the id that holds the lock
-- @include clock
-- @include recall
local now = clock(now_ms)
local receipt = prefix .. 'x:sent:' .. token
local answered = recall(receipt, (#ARGV - 3) / 6)
if answered then return answered end

local function due_at(due)
  if due == '' then return now end
  return due:sub(1, 1) == '+' and now + tonumber(due:sub(2)) or tonumber(due)
end

-- The queue's key before the task's: if it holds another type, the script ends there and nothing is half done.
local function place(id, msg, due, lock, ttl_s, group)
  local holder = lock ~= '' and redis.call('GET', lock)
  if holder then return holder end
  local task = prefix .. 't:' .. id
  if redis.call('EXISTS', task) == 1 then return 0 end
  local due_ms, answer = due_at(due), 1
  if due_ms > now then
    redis.call('ZADD', scheduled, string.format('%.0f', math.ceil(due_ms / 1000)), id)
    redis.call('HSET', task, 'msg', msg, 'state', 'scheduled')
    answer = 2
  elseif group ~= '' then
    redis.call('ZADD', prefix .. 'g:' .. group, string.format('%.0f', math.floor(now / 1000)), id)
    redis.call('SADD', groups, group)
    redis.call('HSET', task, 'msg', msg, 'state', 'aggregating', 'group', group)
    answer = 3
  else
    redis.call('LPUSH', pending, id)
    redis.call('HSET', task, 'msg', msg, 'state', 'pending', 'pending_since', string.format('%.0f000000', now))
  end
  if lock ~= '' then
    local life_s = tonumber(ttl_s) + math.floor(math.max(due_ms - now, 0) / 1000)
    redis.call('SET', lock, id, 'EX', string.format('%.0f', life_s))
    redis.call('HSET', task, 'unique_key', lock)
  end
  return answer
end

local reply, usual = {1}, true
for n = 4, #ARGV, 6 do
  local answer = place(ARGV[n], ARGV[n + 1], ARGV[n + 2], ARGV[n + 3], ARGV[n + 4], ARGV[n + 5])
  reply[#reply + 1] = answer
  usual = usual and answer == 1
end
if not usual then redis.call('SET', receipt, cmsgpack.pack(reply), 'EX', 10) end
return reply
