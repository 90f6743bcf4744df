-- @include before
-- @include next_in_list
-- The next `count` entries of a place, {id, score} each, behind the mark that stands in ARGV from `mark` on; whether it
-- ends there; and where a list was entered. list: from its tail, its place, since when it is pending, ids. hands: the
-- 10,000 that run longest, by the digests of their ids, since they leave in any order. rising, falling: score, id.
local function in_set(source, falling, low, high, count, mark)
  local score, id, at, entries = ARGV[mark], ARGV[mark + 1], 0, {}
  if falling then at = id and rank_of(source, score, id) or redis.call('ZCOUNT', source, '-inf', high)
  elseif id then
    at = rank_of(source, score, id)
    if redis.call('ZRANGE', source, at, at)[1] == id then at = at + 1 end
  else at = redis.call('ZCOUNT', source, '-inf', '(' .. string.format('%.17g', low)) end
  local from, to = falling and math.max(at - count, 0) or at, falling and at - 1 or at + count - 1
  local found = to < from and {} or redis.call('ZRANGE', source, from, to, 'WITHSCORES')
  for n = 1, #found, 2 do
    local m = falling and #found - n or n
    local value = tonumber(found[m + 1])
    if value < low or value > high then return entries, true, 0 end
    entries[#entries + 1] = {found[m], found[m + 1]}
  end
  return entries, #entries < count, 0
end

local function in_hands(source, count, mark)
  local ids, found, entries = redis.call('LRANGE', source, -10000, -1), {}, {}
  for n = 1, #ids do
    local digest = redis.sha1hex(ids[n])
    if digest > (ARGV[mark] or '') then found[#found + 1] = {ids[n], digest} end
  end
  table.sort(found, function(one, other) return one[2] < other[2] end)
  for n = 1, math.min(#found, count) do entries[n] = {found[n][1], '0'} end
  return entries, #found <= count, 0
end

local function slice(kind, source, tasks, low, high, count, mark)
  if kind == 'hands' then return in_hands(source, count, mark) end
  if kind == 'rising' or kind == 'falling' then return in_set(source, kind == 'falling', low, high, count, mark) end
  local entries, first = {}, 0
  if kind == 'named' then
    for n = mark, #ARGV do entries[#entries + 1] = {ARGV[n], '0'} end
    return entries, true, 0
  end
  if ARGV[mark] then first = next_in_list(source, tasks, tonumber(ARGV[mark]), tonumber(ARGV[mark + 1]), mark + 2) end
  local ids = redis.call('LRANGE', source, -first - count, -first - 1)
  for n = #ids, 1, -1 do entries[#entries + 1] = {ids[n], '0'} end
  return entries, #ids < count, first
end
