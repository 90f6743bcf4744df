-- Cells of 32 bits in strings, a string for each hour and for each day: of each queue four series, one after the other,
-- of 60 minutes or of 24 hours: attempts that ended, that failed, tasks unfinished and ms waited at most. Of the last two
-- one more than the value: 0 says that nobody looked. Index 0 is all queues together. prefix: asynq:x:{history}:
local function places(prefix, now)
  local hour, day = math.floor(now / 3600000), math.floor(now / 86400000)
  return {
    {prefix .. 'm:' .. string.format('%.0f', hour), 60, math.floor(now / 60000) % 60},
    {prefix .. 'h:' .. string.format('%.0f', day), 24, hour % 24},
  }
end

local function whole(number) return string.format('%.0f', number) end

local function note(where, index, ended, failed, unfinished, waited)
  for _, place in ipairs(where) do
    local key, cells = place[1], {}
    for n = 0, 3 do cells[n] = '#' .. whole((4 * index + n) * place[2] + place[3]) end
    local found = redis.call('BITFIELD', key, 'OVERFLOW', 'SAT', 'INCRBY', 'u32', cells[0], whole(ended),
      'INCRBY', 'u32', cells[1], whole(failed), 'GET', 'u32', cells[2], 'GET', 'u32', cells[3])
    for n, value in pairs({[2] = unfinished, [3] = waited}) do
      local wanted = math.min(value + 1, 4294967295)
      if found[n + 1] < wanted then redis.call('BITFIELD', key, 'SET', 'u32', cells[n], whole(wanted)) end
    end
  end
end
