-- jobs.permit: let leased tasks start, as many as the limits of their types and keys in this queue allow.
-- EFFECT once
-- KEYS lease     zset  asynq:{<queue>}:lease  task id by Unix second of expiry
-- TOUCHES asynq:{<queue>}:x:gate:<gate>     hash: who has a permit, holder by task id; kept while one of them may run
-- TOUCHES asynq:{<queue>}:x:starts:<gate>   list of Unix ms of the starts in the window, gone after it
-- ARGV now_ms    int   0: the server's clock
-- ARGV prefix    text  asynq:{<queue>}:x:
-- ARGV gates...  for each: gate, most at once (0: any), starts per window (0: any), window in ms, life of its permits
--                in s, how many ask, how many ended; and when there is a most: id and holder of all that ask, and of
--                all that ended
-- REPLY <list of two numbers per gate>  how many may start, the first that ask; and, when that is not all, when to ask
--                again: -1 when one of them ends, else in so many ms
-- ALLOW-OOM tasks that are leased must be able to run
-- @include clock
-- @include gate
-- @include window
-- A permit lasts as long as its task's lease, so a worker that dies gives its permits back with its tasks.
local now = clock(now_ms)

local function decide(i, most, asked, ended)
  local limit, per_ms = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local n, wait_ms, room, wait, starts = asked, 0, asked, 0, prefix .. 'starts:' .. ARGV[i]
  if limit > 0 then room, wait = window_room(starts, limit, per_ms, now) end
  if room < n then n, wait_ms = room, wait end
  if most > 0 then
    local granted = enter(prefix .. 'gate:' .. ARGV[i], lease, most, tonumber(ARGV[i + 4]), i + 7, asked, ended, n)
    if granted < n then n, wait_ms = granted, -1 end
  end
  if limit > 0 then window_note(starts, per_ms, now, n) end
  return n, wait_ms
end

local i, reply = 3, {}
while i <= #ARGV do
  local most, asked, ended = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 5]), tonumber(ARGV[i + 6])
  local fits, n, wait_ms = pcall(decide, i, most, asked, ended)
  if not fits then n, wait_ms = 0, -1 end -- its keys hold something else: the other gates have theirs
  reply[#reply + 1], reply[#reply + 2] = n, wait_ms
  i = i + 7 + (most > 0 and 2 * (asked + ended) or 0)
end
return reply
