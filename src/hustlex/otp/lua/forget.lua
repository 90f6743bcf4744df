-- @include parts
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
