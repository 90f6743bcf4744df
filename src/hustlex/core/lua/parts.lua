-- A hash keeps its compact form while no value of it is longer than 64 bytes, a third of what it takes as a table. So a
-- longer value stands in parts: name, name2, ... Older records hold it whole.
local PART = 64

local function joined(record, name, first)
  local all, part, n = first or '', first, 1
  while part and #part == PART do
    n = n + 1
    part = redis.call('HGET', record, name .. n)
    all = all .. (part or '')
  end
  return all
end

local function in_parts(name, value)
  local pairs_of, n = {name, string.sub(value, 1, PART)}, 1
  while #value > PART * n do
    n = n + 1
    pairs_of[2 * n - 1], pairs_of[2 * n] = name .. n, string.sub(value, PART * (n - 1) + 1, PART * n)
  end
  return unpack(pairs_of)
end
