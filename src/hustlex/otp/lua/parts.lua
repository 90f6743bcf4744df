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

-- What is worth nothing to an attacker without these: the codes' MACs, old and new, their seed, the phone, the tickets.
local function forget(record)
  local n = 2
  redis.call('HDEL', record, 'mac', 'macs', 'seed', 'to', 'tickets')
  while redis.call('HDEL', record, 'macs' .. n, 'to' .. n, 'tickets' .. n) > 0 do n = n + 1 end
end

-- The subject's one record served another challenge before.
local function keep_only(record, values)
  local kept = {}
  for n = 1, #values, 2 do kept[values[n]] = true end
  for _, name in ipairs(redis.call('HKEYS', record)) do
    if not kept[name] then redis.call('HDEL', record, name) end
  end
end
