-- jobs.take_several: run, archive or delete some tasks, if each is still in the state in which it was found.
-- EFFECT idempotent       what was done before stands in taken
-- KEYS pending  list      asynq:{<queue>}:pending
-- KEYS archived zset      asynq:{<queue>}:archived
-- KEYS taken    hash      asynq:{<queue>}:x:bulk:<act>: by id what it was, packed, "" where that is not kept
-- TOUCHES asynq:{<queue>}:t:<id>  asynq:{<queue>}:<state>  asynq:{<queue>}:groups  asynq:{<queue>}:g:<group>
-- TOUCHES the tasks' locks, tasks that are trimmed from the archive; asynq:{<queue>}:x:ended as in jobs.delete_task
-- ARGV now_ms   int       0: the server's clock
-- ARGV prefix   text      asynq:{<queue>}:
-- ARGV verb     text      run, archive or delete
-- ARGV life_s   int       for which taken is kept
-- ARGV most     int       bytes that it may hold
-- ARGV pairs... text      id, state
-- REPLY {1, letters}      per pair: d done, m it is elsewhere or another task holds its lock, g there is none
-- @include clock
-- @include leave
-- @include end_lock
-- @include trim_archived
-- @include keep_task
-- @include release_lock
-- @include run_again
local now, now_s = clock(now_ms), math.floor(clock(now_ms) / 1000)
local letters, room = {}, tonumber(most) - tonumber(redis.call('HGET', taken, '') or 0)
local past = verb == 'run' and 'pending' or verb .. 'd'

local function act(task, id, state)
  if verb == 'run' then run_again(task, id, pending, now)
  elseif verb == 'archive' then
    redis.call('ZADD', archived, string.format('%.0f', now_s), id)
    redis.call('HSET', task, 'state', 'archived')
    redis.call('HDEL', task, 'pending_since')
    end_lock(task, id)
  else
    release_lock(task, id)
    redis.call('DEL', task, prefix .. 'x:ended')
  end
end

for n = 6, #ARGV, 2 do
  local id, state, task = ARGV[n], ARGV[n + 1], prefix .. 't:' .. ARGV[n]
  local found, letter = fields(task, 'state', 'group'), 'd'
  if redis.call('HEXISTS', taken, id) == 0 then
    if not found[1] then letter = 'g' elseif found[1] ~= state or state == 'active' or state == past then letter = 'm'
    elseif verb == 'run' and not may_run(prefix, id, state) then letter = 'm'
    else
      local kept = verb ~= 'run' and cmsgpack.pack(kept_of(prefix, id, state, found[2], verb == 'delete')) or ''
      if #kept > room then kept = '' end
      if not leave(prefix, id, state, found[2]) then letter = 'm' else
        act(task, id, state)
        room = room - #kept
        redis.call('HSET', taken, id, kept, '', tonumber(most) - room)
      end
    end
  end
  letters[#letters + 1] = letter
end
redis.call('EXPIRE', taken, life_s)
if verb == 'archive' then trim_archived(archived, prefix .. 't:', now_s, 9999, 7776000) end
return {1, table.concat(letters)}
