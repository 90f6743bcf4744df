-- Permits of one gate: a hash, holder by task id. enter gives them back and out, room_at counts those that are left; a
-- permit is over with its task's lease.
local function room_at(gate, lease, most, asked)
  local room = most - redis.call('HLEN', gate)
  if room >= asked then return room end
  local ids, over = redis.call('HKEYS', gate), {}
  local leases = #ids > 0 and redis.call('ZMSCORE', lease, unpack(ids)) or {}
  for n, id in ipairs(ids) do
    if not leases[n] then over[#over + 1] = id end
  end
  if #over > 0 then redis.call('HDEL', gate, unpack(over)) end
  return room + #over
end

local function enter(gate, lease, most, life_s, first, asked, ended, n)
  for i = first + 2 * asked, first + 2 * (asked + ended) - 1, 2 do
    if redis.call('HGET', gate, ARGV[i]) == ARGV[i + 1] then redis.call('HDEL', gate, ARGV[i]) end
  end
  local room, granted = room_at(gate, lease, most, asked), 0
  for i = first, first + 2 * n - 1, 2 do
    if room <= 0 and redis.call('HEXISTS', gate, ARGV[i]) == 0 then break end
    room = room - redis.call('HSET', gate, ARGV[i], ARGV[i + 1])
    granted = granted + 1
  end
  if redis.call('TTL', gate) < life_s then redis.call('EXPIRE', gate, life_s) end
  return granted
end
