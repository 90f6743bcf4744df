-- Where codes are not typed, sending slows down to single messages. While it does there is `next` (when one may pass
-- unasked, ms), and beside it `since` (when it began, ms), `human` (as next, behind a human check, as many as `most` at
-- once), probes (messages that passed so) and wins (verified ones of them). It ends when the hour's messages are no
-- longer bad, or by the wins.

-- Enough messages in the hour, too few of them verified. young: newest buckets that are not judged yet. Once slow, a
-- quarter of them is enough: the few that pass must not look like the end of what goes on.
local function bad(fields, now, least, percent, young)
  local newest = bucket(now, HOUR)
  local sent = total(fields, 's', newest, young)
  if fields.next then least = math.ceil(least / 4) end
  return sent >= least and total(fields, 'v', newest, 0) * 100 < percent * sent
end

-- 2: in credit, codes are typed there; 1: suspect, they are not, and `few` have shown it to wider scopes; 0: neither.
local function standing(fields, now, few, percent)
  local newest = bucket(now, HOUR)
  local sent, verified = total(fields, 's', newest, 0), total(fields, 'v', newest, 0)
  if verified * 100 >= percent * sent then return verified > 0 and 2 or 0 end
  return total(fields, 'k', newest, 0) >= few and 1 or 0
end

-- How long until a message passes unasked, and behind a human check; 0: now. gap: between two.
local function probe_rests(key, fields, now, gap, most)
  if not fields.next then redis.call('HSET', key, 'since', now) end
  -- Later than can be: it trips just now, or the server's clock was set back.
  for name, latest in pairs({next = now + gap, human = now + most * gap}) do
    if name == 'next' and not fields.next or (fields[name] or 0) > latest then
      fields[name] = latest
      redis.call('HSET', key, name, latest)
    end
  end
  return math.max(0, fields.next - now), math.max(0, math.max((fields.human or 0) - now, 0) + gap - most * gap)
end

local function note_probe(key, fields, now, gap, kind)
  redis.call('HINCRBY', key, 'probes', 1)
  if kind == 1 then redis.call('HSET', key, 'next', now + gap) end
  if kind == 2 then redis.call('HSET', key, 'human', math.max(fields.human or 0, now) + gap) end
end

-- A probe that was not sent gives its turn back.
local function unprobe(key, at, gap, kind)
  local due, made = unpack(redis.call('HMGET', key, 'next', 'probes'))
  if not due or (tonumber(made) or 0) == 0 then return end
  redis.call('HINCRBY', key, 'probes', -1)
  if kind == 1 and tonumber(due) == at + gap then redis.call('HSET', key, 'next', at) end
  if kind == 2 then redis.call('HINCRBY', key, 'human', -gap) end
end
