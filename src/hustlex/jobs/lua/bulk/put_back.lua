-- jobs.put_back: undo what a bulk act did to some tasks, where they are still what it made of them.
-- EFFECT idempotent       what was put back says so in taken
-- KEYS pending  list      asynq:{<queue>}:pending
-- KEYS archived zset      asynq:{<queue>}:archived
-- KEYS taken    hash      asynq:{<queue>}:x:bulk:<act>
-- TOUCHES asynq:{<queue>}:t:<id>  asynq:{<queue>}:<state>  asynq:{<queue>}:groups  asynq:{<queue>}:g:<group>
-- TOUCHES the tasks' locks, asynq:{<queue>}:unique:<type>:<digest>
-- ARGV now_ms   int       0: the server's clock
-- ARGV prefix   text      asynq:{<queue>}:
-- ARGV names... text      ids
-- REPLY {1, letters}      per id: u it is where it was, k it is not: it moved on, its id is taken, or nothing was kept,
--                         - nothing was done to it
-- @include clock
-- @include fields
-- @include start_again
local now = string.format('%.0f000000', clock(now_ms))

-- What can fail comes first: a task that has left one place stands in the other by then.
local function enter(id, state, group, score)
  if state == 'pending' then redis.call('RPUSH', pending, id)
  elseif state == 'aggregating' then
    redis.call('SADD', prefix .. 'groups', group)
    redis.call('ZADD', prefix .. 'g:' .. group, score, id)
  else redis.call('ZADD', prefix .. state, score, id) end
end

local function restore(id, kept)
  local task, state, group, score, since, lock, left, digest, whole = prefix .. 't:' .. id, unpack(kept)
  if type(whole) == 'string' then  -- it was given another start
    return start_again(prefix .. state, id, score, whole, lock, left) and 'u' or 'k'
  end
  if #whole > 0 then
    if redis.call('EXISTS', task) == 1 then return 'k' end
    enter(id, state, group, score)
    redis.call('HSET', task, unpack(whole))
  else
    if field(task, 'state') ~= 'archived' or redis.sha1hex(field(task, 'msg') or '') ~= digest then return 'k' end
    if not redis.call('ZSCORE', archived, id) then return 'k' end
    enter(id, state, group, score)
    redis.call('ZREM', archived, id)
  end
  redis.call('HSET', task, 'state', state)
  if state == 'pending' then redis.call('HSET', task, 'pending_since', since ~= '' and since or now) end
  if lock ~= '' and left > 0 then redis.call('SET', lock, id, 'NX', 'PX', string.format('%.0f', left)) end
  return 'u'
end

local letters = {}
for n = 3, #ARGV do
  local id = ARGV[n]
  local packed = redis.call('HGET', taken, id)
  local letter = not packed and '-' or packed == 'u' and 'u' or 'k'
  if packed and #packed > 1 then letter = restore(id, cmsgpack.unpack(packed)) end
  if letter == 'u' then redis.call('HSET', taken, id, 'u') end
  letters[#letters + 1] = letter
end
return {1, table.concat(letters)}
