-- How long ago a session's token was spent last. Never rotated: older than any limit. In the future, as the server's clock
-- was set back: now, so that its windows begin again, and end in their time.
local function spent_ago(record, rot, now)
  local age = now - (rot or 0)
  if age >= 0 then return age end
  redis.call('HSET', record, 'rot', string.format('%.0f', now))
  return 0
end

-- Whether this is another network or device than the one that spent it; once per exchange.
local function elsewhere(record, gen, network, known_network, device, known_device)
  local function other(given, known) return given ~= '' and known and known ~= '' and given ~= known end
  if not other(network, known_network) and not other(device, known_device) then return false end
  if redis.call('HGET', record, 'odd') == gen then return false end
  redis.call('HSET', record, 'odd', gen)
  return true
end
