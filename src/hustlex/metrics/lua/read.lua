-- metrics.read: the cells of some series, and what each series of a room was told in this day and the one before.
-- EFFECT read
-- KEYS names     hash   <prefix>x:{rooms}:names
-- TOUCHES <prefix>x:{rooms}:m:<hour>  <prefix>x:{rooms}:h:<day>
-- ARGV now_ms    int    0: the server's clock
-- ARGV hours     int    so many full hours and the present one by the minute; -1: none
-- ARGV days      int    so many full days and the present one by the hour; -1: none
-- ARGV start     text   what the names of the others begin with; "" = none of them
-- ARGV wanted... text   series
-- REPLY {1, now_ms, series, others}   of each wanted: {since, strings}, the oldest first, hours and then days; {}: nobody
--                                     told of it. of each other: {name, since, the day before, this day}
-- @include clock
-- @include cells
local now = clock(now_ms)
local prefix = string.sub(names, 1, -#'names' - 1)
local series, others = {}, {}

local function strings(index, kind, length, ms, back, found)
  for n = tonumber(back), 0, -1 do
    local key, first = prefix .. kind .. ':' .. whole(math.floor(now / ms) - n), index * 4 * length
    found[#found + 1] = redis.call('GETRANGE', key, whole(first), whole(first + 4 * length - 1))
  end
  return found
end

for n = 5, #ARGV do
  local known = redis.call('HGET', names, ARGV[n])
  series[#series + 1] = {}
  if known then
    local index, since = entry_of(known)
    local found = strings(index, 'm', 60, 3600000, hours, {})
    series[#series] = {whole(since), strings(index, 'h', 24, 86400000, days, found)}
  end
end
if start ~= '' then
  local all = redis.call('HGETALL', names)
  for n = 1, #all, 2 do
    if string.sub(all[n], 1, #start) == start then
      local index, since = entry_of(all[n + 1])
      others[#others + 1] = {all[n], whole(since), unpack(strings(index, 'h', 24, 86400000, 1, {}))}
    end
  end
end
return {1, now, series, others}
