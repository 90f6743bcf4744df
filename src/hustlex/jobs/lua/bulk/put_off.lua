-- jobs.put_off: give some scheduled or retried tasks another start, if each is still in the state in which it was found.
-- EFFECT idempotent       what was done before stands in taken
-- KEYS taken    hash      asynq:{<queue>}:x:bulk:<act>: by id what it was, packed, "" where that is not kept
-- TOUCHES asynq:{<queue>}:t:<id>  asynq:{<queue>}:<state>  asynq:{<queue>}:x:due  the tasks' locks
-- ARGV now_ms   int       0: the server's clock
-- ARGV prefix   text      asynq:{<queue>}:
-- ARGV due      int       Unix ms; what is past is now
-- ARGV life_s   int       for which taken is kept
-- ARGV most     int       bytes that it may hold
-- ARGV pairs... text      id, state
-- REPLY {1, letters}      per pair: d done, m it is elsewhere, g there is none
-- @include clock
-- @include fields
-- @include keep_task
-- @include move_start
local now = clock(now_ms)
local start, letters = math.max(tonumber(due), now), {}
local room = tonumber(most) - tonumber(redis.call('HGET', taken, '') or 0)

local function kept_place(id, state)
  local was = kept_of(prefix, id, state, '', false)
  was[8] = string.format('%.0f', math.ceil(start / 1000))
  local packed = cmsgpack.pack(was)
  return #packed > room and '' or packed
end

for n = 6, #ARGV, 2 do
  local id, state = ARGV[n], ARGV[n + 1]
  local is, letter = field(prefix .. 't:' .. id, 'state'), 'd'
  if redis.call('HEXISTS', taken, id) == 0 then
    local was = is == state and kept_place(id, state)
    if not is then letter = 'g'
    elseif not was or (state ~= 'scheduled' and state ~= 'retry') then letter = 'm'
    elseif not move_start(prefix, id, state, start, now) then letter = 'm'
    else
      room = room - #was
      redis.call('HSET', taken, id, was, '', tonumber(most) - room)
    end
  end
  letters[#letters + 1] = letter
end
redis.call('EXPIRE', taken, life_s)
return {1, table.concat(letters)}
