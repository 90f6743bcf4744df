-- jobs.read_history: the cells of one queue, or of all together, of some hours by the minute and some days by the hour.
-- EFFECT read
-- KEYS queues   hash  asynq:x:{history}:queues
-- TOUCHES asynq:x:{history}:m:<hour>  asynq:x:{history}:h:<day>
-- ARGV now_ms   int   0: the server's clock
-- ARGV queue    text  "" = all together
-- ARGV hours    int   so many full hours and the present one
-- ARGV days     int   so many full days and the present one; -1: none
-- REPLY {0, now_ms}                  nothing is known of this queue
-- REPLY {1, now_ms, since, strings}  since: Unix ms from which on this place is its own; strings: four series each, of
--                                    each hour and then of each day, the oldest first; shorter than whole where zero
-- @include clock
-- @include history
-- @include history_entry
local now = clock(now_ms)
local entry = entry_of(queues, queue)
if not entry then return {0, now} end
local prefix = string.sub(queues, 1, -#'queues' - 1)
local found = {}

local function cells(kind, length, ms, back)
  for n = tonumber(back), 0, -1 do
    local key = prefix .. kind .. ':' .. whole(math.floor(now / ms) - n)
    local first = entry[1] * 16 * length
    found[#found + 1] = redis.call('GETRANGE', key, whole(first), whole(first + 16 * length - 1))
  end
end

cells('m', 60, 3600000, hours)
cells('h', 24, 86400000, days)
return {1, now, whole(entry[2]), found}
