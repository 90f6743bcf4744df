-- jobs.sieve: look at the next tasks of one place, and answer those whose message holds every needle.
-- EFFECT read
-- KEYS source   any    asynq:{<queue>}:<state>, or of a group
-- KEYS lease    zset   asynq:{<queue>}:lease
-- TOUCHES asynq:{<queue>}:t:<id> of those; named ones: asynq:{<queue>}:<state>
-- ARGV now_ms   int    0: the server's clock
-- ARGV tasks    text   asynq:{<queue>}:t:
-- ARGV kind     text   list, hands, rising, falling: as in lib/slice; named: the ids that follow the needles
-- ARGV low      num    the least score of a sorted set that counts
-- ARGV high     num    the greatest
-- ARGV count    int    tasks to look at
-- ARGV most     int    bytes of answers after which it stops
-- ARGV results  int    1: with results
-- ARGV fold     int    1: the needles are lower case, and capitals count as small letters
-- ARGV needles  int    how many
-- ARGV rest...  bytes  needles; then the mark behind which to go on, or ids
-- REPLY {1, now_ms, looked_at, ended, first, last, rows}  first: where a list was entered. last: {score, pending_since,
--                     id, the ids before it} of the last one looked at. Per row: n-th, id, size, state, message ("" over
--                     64 KiB), result, score, 1 if its lease is over, crashes, pending_since, 1 if unique, parked_at
-- @include clock
-- @include holds
-- @include slice
local now, sent, looked, behind = clock(now_ms), 0, 0, 11 + tonumber(needles)
local entries, ended, first = slice(kind, source, tasks, tonumber(low), tonumber(high), tonumber(count), behind)
local reply = {1, now, 0, 0, first, {}}

local function add(n, id, score, size, task)
  local message = size <= 65536 and field(task, 'msg') or ''
  if message ~= '' and not holds(message, fold == '1', 11, behind - 1) then return end
  local found = fields(task, 'state', 'result', 'crashes', 'pending_since', 'unique_key', 'parked_at')
  if not found[1] then return end
  if kind == 'named' and found[1] ~= 'pending' and found[1] ~= 'active' and found[1] ~= 'aggregating' then
    score = redis.call('ZSCORE', tasks:sub(1, -3) .. found[1], id) or '0'
  end
  local expiry = tonumber(redis.call('ZSCORE', lease, id) or '')
  local result = results == '1' and found[2] and #found[2] <= 65536 and found[2] or ''
  local row = {n, id, size, found[1], message, result, score, expiry and expiry * 1000 <= now and 1 or 0,
    found[3] or '0', found[4] or '', found[5] and 1 or 0, found[6] or '0'}
  for _, value in ipairs(row) do reply[#reply + 1] = value end
  sent = sent + #message + #result + 100
end

for n, entry in ipairs(entries) do
  if sent >= tonumber(most) then ended = false break end
  looked = n
  local task = tasks .. entry[1]
  local size = redis.pcall('HSTRLEN', task, 'msg')
  if type(size) == 'number' and size > 0 then add(n, entry[1], entry[2], size, task) end
end
reply[3], reply[4] = looked, ended and 1 or 0
if looked > 0 then
  reply[6] = {entries[looked][2], field(tasks .. entries[looked][1], 'pending_since') or ''}
  for n = looked, math.max(looked - 23, 1), -1 do table.insert(reply[6], entries[n][1]) end
end
return reply
