-- @include fields
-- Where to go on in a list, from its tail, behind the last of some ids that is still there: `at` is where the first of
-- them stood, ARGV from `ids` on. Are all gone, whatever stood before them has mostly gone as well: behind what is
-- pending for longer than the first was.
local function next_in_list(source, tasks, at, since, ids)
  if redis.call('LINDEX', source, -at - 1) == ARGV[ids] then return at + 1 end
  local order, place, best = {}, nil, nil
  for n = ids, #ARGV do order[ARGV[n]] = order[ARGV[n]] or n end
  local low = math.max(at - 10000, 0)
  local window = redis.call('LRANGE', source, -at - 1001, -low - 1)
  for n, id in ipairs(window) do
    if order[id] and not (best and best <= order[id]) then best, place = order[id], low + #window - n end
  end
  if place then return place + 1 end
  local first, last = 0, redis.call('LLEN', source)
  while since and first < last do
    local middle = math.floor((first + last) / 2)
    local began = tonumber(field(tasks .. redis.call('LINDEX', source, -middle - 1), 'pending_since') or '')
    if began and began < since then first = middle + 1 else last = middle end
  end
  return first
end
