-- Cells of 32 bits in strings, one string for each hour and one for each day: of each series 60 minutes or 24 hours.
local function whole(number) return string.format('%.0f', number) end

local function places(prefix, now)
  local hour, day = math.floor(now / 3600000), math.floor(now / 86400000)
  return {{prefix .. 'm:' .. whole(hour), 60, math.floor(now / 60000) % 60}, {prefix .. 'h:' .. whole(day), 24, hour % 24}}
end

-- Of a series: its index, since when it has that, and when it was told last, Unix ms.
local function entry_of(packed)
  local index, since, told = string.match(packed, '^(%d+) (%d+) (%d+)$')
  return tonumber(index), tonumber(since), tonumber(told)
end
