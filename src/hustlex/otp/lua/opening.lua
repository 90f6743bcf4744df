-- Voids the open challenges of a purpose, the oldest first, until there are fewer than `most`.
local function make_place(list, act, most, now)
  redis.call('ZREMRANGEBYSCORE', list, string.format('-%.0f', now), '(0')
  if redis.call('EXISTS', act) == 1 then redis.call('ZREMRANGEBYSCORE', act, '-inf', now) end
  local open, place, older = {}, place_of(act), redis.call('ZCARD', act)
  for _, member in ipairs(redis.call('ZRANGE', list, '-inf', '(0', 'BYSCORE')) do
    if string.sub(member, 1, #place) == place then open[#open + 1] = member end
  end
  local surplus = #open + older - most + 1
  if older > 0 and surplus > 0 then surplus = surplus - #redis.call('ZPOPMIN', act, surplus) / 2 end
  for n = #open, math.max(1, #open - surplus + 1), -1 do redis.call('ZREM', list, open[n]) end
end

-- keep: how long the record tells after its end what has become of it.
local function open_until(record, list, act, cid, ends, lifetime, keep)
  redis.call('ZADD', list, string.format('-%.0f', ends), place_of(act) .. short(cid))
  if redis.call('PTTL', list) < DAY then redis.call('PEXPIRE', list, DAY) end
  redis.call('PEXPIRE', record, lifetime + keep)
end
