-- @include fields
-- Where to go on in a list, from its tail, behind the last of some ids that is still there: `at` is where the first of
-- them stood, ARGV from `ids` on. Are all gone, whatever stood before them has mostly gone as well: behind what is
-- pending for longer than the first was.
local function behind_known(source, ids, from, to)
  local order, place, best = {}, nil, nil
  for n = ids, #ARGV do order[ARGV[n]] = order[ARGV[n]] or n end
  local window = redis.call('LRANGE', source, -to - 1, -from - 1)
  for n, id in ipairs(window) do
    if order[id] and not (best and best <= order[id]) then best, place = order[id], from + #window - n end
  end
  return place and place + 1
end

local function next_in_list(source, tasks, at, since, ids)
  if redis.call('LINDEX', source, -at - 1) == ARGV[ids] then return at + 1 end
  local near = behind_known(source, ids, math.max(at - 10000, 0), at + 1000)
  if near then return near end
  local first, last = 0, redis.call('LLEN', source)
  while since and first < last do
    local middle = math.floor((first + last) / 2)
    local began = tonumber(field(tasks .. redis.call('LINDEX', source, -middle - 1), 'pending_since') or '')
    if began and began < since then first = middle + 1 else last = middle end
  end
  return behind_known(source, ids, first, first + 5000) or first
end
