-- How long until one more unit fits, 0 when it does now.
local function distinct_rest(fields, member, now, window, most)
  local times = {}
  for name, at in pairs(fields) do
    if numbered(name) and at > now - window then times[#times + 1] = at end
  end
  if #times < most or (fields['n' .. member] or 0) > now - window then return 0 end
  table.sort(times)
  return times[#times - most + 1] + window - now
end

local function cap_rest(fields, member, now, window, most)
  if member ~= '' then return distinct_rest(fields, member, now, window, most) end
  local newest = bucket(now, window)
  local surplus = total(fields, 'c', newest, 0) + 1 - most
  if surplus <= 0 then return 0 end
  for number = newest - PARTS, newest do
    surplus = surplus - (fields['c' .. number] or 0)
    if surplus <= 0 then return (number + PARTS + 1) * width(window) - now end
  end
  return window
end

-- Honest traffic makes room: so many in a hundred of the codes that were verified in a window, by the hour's count.
local function grown(fields, now, window, more)
  return math.floor(total(fields, 'v', bucket(now, HOUR), 0) * math.min(window / HOUR, 1) * more / 100)
end
