-- Sending stops where codes are not typed. Fields: until (ms), probes (messages behind a human check in this round),
-- wins (verified ones of them). Closed: no until. Open: until lies ahead. Half-open: it has passed.

-- How long nothing is sent, 0: not barred. young: newest buckets that are not judged yet.
local function barred(key, fields, now, least, percent, pause, young)
  if fields['until'] then return math.max(0, fields['until'] - now) end
  local newest = bucket(now, HOUR)
  local sent = total(fields, 's', newest, young)
  if sent < least or total(fields, 'v', newest, 0) * 100 >= percent * sent then return 0 end
  redis.call('HSET', key, 'until', now + pause, 'probes', 0, 'wins', 0)
  return pause
end

-- The last probe of a round closes the door again; its winners may still open it.
local function probe(key, fields, now, most, pause)
  local made = (fields.probes or 0) + 1
  if made > most then made = 1 end
  redis.call('HSET', key, 'probes', made)
  if made == 1 then redis.call('HSET', key, 'wins', 0) end
  if made == most then redis.call('HSET', key, 'until', now + pause) end
end

-- A probe that was not sent: the round goes on.
local function unprobe(key, at, pause)
  local made, ends = unpack(redis.call('HMGET', key, 'probes', 'until'))
  if not ends or tonumber(made) == 0 then return end
  redis.call('HINCRBY', key, 'probes', -1)
  if tonumber(ends) == at + pause then redis.call('HSET', key, 'until', at) end
end

-- What was counted before is forgotten with the bad round, or it would trip again at once.
local function win(key, fields, wins, enough)
  if not fields['until'] or redis.call('HINCRBY', key, 'wins', wins) < enough then return end
  redis.call('HDEL', key, 'until', 'probes', 'wins')
  for name in pairs(fields) do
    if string.match(name, '^[sv]%d+$') then redis.call('HDEL', key, name) end
  end
end
