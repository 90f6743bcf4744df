-- jobs.read_recent: three series of some queues, of the hour before and the present one, by the minute.
-- EFFECT read
-- KEYS queues    hash  asynq:x:{history}:queues
-- TOUCHES asynq:x:{history}:m:<hour>
-- ARGV now_ms    int   0: the server's clock
-- ARGV names...  text  queues
-- REPLY {1, now_ms, strings...}  two of each queue, shorter than whole where zero: ended, failed and unfinished, see
--                                history.lua
-- @include clock
-- @include history
-- @include history_entry
local now = clock(now_ms)
local hour = math.floor(now / 3600000)
local prefix = string.sub(queues, 1, -#'queues' - 1)
local reply = {1, now}
for n = 2, #ARGV do
  local entry = entry_of(queues, ARGV[n])
  local first = entry and whole(entry[1] * 960)
  for at = hour - 1, hour do
    local key = prefix .. 'm:' .. whole(at)
    reply[#reply + 1] = first and redis.call('GETRANGE', key, first, whole(entry[1] * 960 + 719)) or ''
  end
end
return reply
