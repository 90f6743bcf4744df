-- jobs.close_steps: steps are done with, everybody who waited for them was told. Kept as long as the user
--   asked, at least half a minute as a note.
-- EFFECT idempotent
-- KEYS completed  zset  asynq:{<queue>}:completed   task id by Unix second of expiry
-- TOUCHES asynq:{<queue>}:t:<id>  asynq:{<queue>}:x:end:<id>  asynq:{<queue>}:x:step:<id> of the steps; those that came first stay known for a day
-- ARGV now_ms     int   0: the server's clock
-- ARGV prefix     text  asynq:{<queue>}:
-- ARGV ids...     text
-- REPLY {1}
-- ALLOW-OOM it frees memory
-- @include clock
-- @include fields
-- @include leave_end
local now_s = math.floor(clock(now_ms) / 1000)

local function keep_for(id, seconds)
  if field(prefix .. 't:' .. id, 'state') ~= 'completed' then return end
  if seconds > 0 then
    redis.call('ZADD', completed, 'XX', now_s + seconds, id)
  else
    redis.call('ZREM', completed, id)
    leave_end(prefix .. 't:', id, '+' .. (field(prefix .. 't:' .. id, 'result') or ''), 30)
    redis.call('DEL', prefix .. 't:' .. id)
  end
end

for n = 3, #ARGV do
  local step = prefix .. 'x:step:' .. ARGV[n]
  local found = fields(step, 'phase', 'keep_s', 'head')
  if found[1] == 'runs' then
    keep_for(ARGV[n], tonumber(found[2]))
    if found[3] then
      redis.call('HSET', step, 'phase', 'over')
      redis.call('EXPIRE', step, 86400)
    else
      redis.call('DEL', step)
    end
  end
end
return {1}
