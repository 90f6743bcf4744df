-- jobs.permit: let leased tasks start, as many as the limits of their types and keys in this queue allow.
-- EFFECT once
-- KEYS lease     zset  asynq:{<queue>}:lease  task id by Unix second of expiry
-- TOUCHES asynq:{<queue>}:x:gate:<gate>     set of the ids that hold a permit, kept while one of them may run
-- TOUCHES asynq:{<queue>}:x:starts:<gate>   list of Unix ms of the starts in the window, gone after it
-- ARGV now_ms    int   0: the server's clock
-- ARGV prefix    text  asynq:{<queue>}:x:
-- ARGV gates...  for each: gate, most at once (0: any), starts per window (0: any), window in ms, life of its permits
--                in s, how many ask, how many ended; and when there is a most: the ids that ask, and those that ended
-- REPLY <list of two numbers per gate>  how many may start, the first that ask; and, when that is not all, when to ask
--                again: -1 when one of them ends, else in so many ms
-- ALLOW-OOM tasks that are leased must be able to run
-- @include clock
-- @include window
-- A permit lasts as long as its task's lease, so a worker that dies gives its permits back with its tasks.
local now = clock(now_ms)

local function room_at(gate, most, asked)
  local room = most - redis.call('SCARD', gate)
  if room >= asked then return room end
  local ids, over = redis.call('SMEMBERS', gate), {}
  local leases = #ids > 0 and redis.call('ZMSCORE', lease, unpack(ids)) or {}
  for n, id in ipairs(ids) do
    if not leases[n] then over[#over + 1] = id end
  end
  if #over > 0 then redis.call('SREM', gate, unpack(over)) end
  return room + #over
end

local function enter(gate, most, life_s, first, asked, ended, n)
  for i = first + asked, first + asked + ended - 1 do redis.call('SREM', gate, ARGV[i]) end
  local room, granted = room_at(gate, most, asked), 0
  for i = first, first + n - 1 do
    local holds = redis.call('SISMEMBER', gate, ARGV[i]) == 1
    if not holds and room <= 0 then break end
    if not holds then room = room - redis.call('SADD', gate, ARGV[i]) end
    granted = granted + 1
  end
  if redis.call('TTL', gate) < life_s then redis.call('EXPIRE', gate, life_s) end
  return granted
end

local i, reply = 3, {}
while i <= #ARGV do
  local gate, most, limit, per_ms = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local life_s, asked, ended = tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5]), tonumber(ARGV[i + 6])
  local n, wait_ms, starts = asked, 0, prefix .. 'starts:' .. gate
  if limit > 0 then
    local room, wait = window_room(starts, limit, per_ms, now)
    if room < n then n, wait_ms = room, wait end
  end
  if most > 0 then
    local granted = enter(prefix .. 'gate:' .. gate, most, life_s, i + 7, asked, ended, n)
    if granted < n then n, wait_ms = granted, -1 end
  end
  if limit > 0 then window_note(starts, per_ms, now, n) end
  reply[#reply + 1], reply[#reply + 2] = n, wait_ms
  i = i + 7 + (most > 0 and asked + ended or 0)
end
return reply
