-- jobs.show_steps: what one queue has of a workflow's steps, by their positions. Steps that left no trace are not told.
-- EFFECT read
-- KEYS lease   zset   asynq:{<queue>}:lease   task id by Unix second of expiry
-- TOUCHES asynq:{<queue>}:x:step:<id>  asynq:{<queue>}:t:<id> of the steps
-- ARGV now_ms  int    0: the server's clock
-- ARGV prefix  text   asynq:{<queue>}:
-- ARGV flow    text   id of the workflow
-- ARGV first   int    position
-- ARGV last    int
-- ARGV most    int    bytes of a message that is told
-- REPLY {1, rows}     per step: position, phase of its record, why, after, then (JSON), got (a letter per step before it,
--                     1 = has succeeded), state of its task, 1 if its lease is over, message; "" where there is none
-- @include clock
-- @include fields
local now, reply = clock(now_ms), {1}

local function short(key, name)
  local size = redis.pcall('HSTRLEN', key, name)
  return type(size) == 'number' and size <= tonumber(most) and field(key, name) or ''
end

for n = tonumber(first), tonumber(last) do
  local id = flow .. ':' .. n
  local step, task = prefix .. 'x:step:' .. id, prefix .. 't:' .. id
  local found, state, got = fields(step, 'phase', 'why', 'after', 'then', 'need'), field(task, 'state'), ''
  if found[1] or state then
    for before = 0, (tonumber(found[5] or '') or 0) - 1 do got = got .. redis.call('HEXISTS', step, 'in:' .. before) end
    local expiry = state == 'active' and tonumber(redis.call('ZSCORE', lease, id) or '')
    local over = expiry and expiry * 1000 <= now and 1 or 0
    local message = state and short(task, 'msg') or short(step, 'message')
    local row = {n, found[1] or '', found[2] or '', found[3] or '', found[4] or '', got, state or '', over, message}
    for _, value in ipairs(row) do reply[#reply + 1] = value end
  end
end
return reply
