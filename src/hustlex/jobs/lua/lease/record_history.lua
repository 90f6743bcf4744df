-- jobs.record_history: add what happened in queues since they were looked at last to their minutes and hours.
-- EFFECT idempotent   counters come as they stand, so twice adds nothing
-- KEYS queues   hash  asynq:x:{history}:queues   queue ("" = all) -> an entry, as msgpack
-- KEYS failing  zset  asynq:x:{history}:failing  queue by the Unix ms of its last failure
-- TOUCHES asynq:x:{history}:m:<hour>  asynq:x:{history}:h:<day>
-- ARGV now_ms   int   0: the server's clock
-- ARGV most     int   queues that are kept
-- ARGV rows...  fives queue, processed, failed, unfinished, ms that the next task has waited
-- REPLY {1}
-- @include clock
-- @include history
-- @include history_entry
local now = clock(now_ms)
local where = places(string.sub(queues, 1, -#'queues' - 1), now)
local all = entry_of(queues, '') or {0, now, now, 0, 0, 0}
keep_entry(queues, '', all)

-- A counter that fell was read before another worker's, or begins anew; one not read for two minutes says too little.
local function grown(was, is, at) return is > was and now - at <= 120000 and is - was or 0 end
local function latest(was, is) return is < was / 2 and is or math.max(was, is) end

local function known(name, ended, failed)
  local entry = entry_of(queues, name)
  if entry then return entry, failed ~= entry[5] end
  local index, gone = free_index(queues, tonumber(most), now)
  if not index then return nil end
  all[6] = all[6] - gone
  return {index, now, now, ended, failed, 0}, failed > 0
end

local total, bad, longest = 0, 0, 0
for i = 3, #ARGV, 5 do
  local name, ended, failed = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local unfinished, waited = tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
  local was, fails = known(name, ended, failed)
  if was then
    local more, worse = grown(was[4], ended, was[3]), grown(was[5], failed, was[3])
    note(where, was[1], more, worse, unfinished, waited)
    total, bad, longest, all[6] = total + more, bad + worse, math.max(longest, waited), all[6] + unfinished - was[6]
    keep_entry(queues, name, {was[1], was[2], now, latest(was[4], ended), latest(was[5], failed), unfinished})
    if fails then redis.call('ZADD', failing, whole(now), name) end
  end
end
note(where, 0, total, bad, math.max(all[6], 0), longest)
keep_entry(queues, '', {0, all[2], now, 0, 0, all[6]})
redis.call('ZREMRANGEBYRANK', failing, 0, -tonumber(most) - 1)
redis.call('EXPIRE', queues, 2764800)
redis.call('EXPIRE', failing, 2764800)
redis.call('EXPIRE', where[1][1], 90000)
redis.call('EXPIRE', where[2][1], 2764800)
return {1}
