-- Which of two members of one score stands first: by bytes, as the server has them; Lua's < goes by a language's order.
local function before(one, other)
  for n = 1, math.min(#one, #other) do
    local a, b = one:byte(n), other:byte(n)
    if a ~= b then return a < b end
  end
  return #one < #other
end

-- How many members of a sorted set stand before (score, id), which need not be there any more.
local function rank_of(source, score, id)
  local low = redis.call('ZCOUNT', source, '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', source, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if before(redis.call('ZRANGE', source, middle, middle)[1], id) then low = middle + 1 else high = middle end
  end
  return low
end
