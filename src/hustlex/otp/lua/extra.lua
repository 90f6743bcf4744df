-- Lane extra, for a phone whose strangers' lane is used up or locked: each network has one message of a day, the phone
-- `most` of them; whoever passed a human check, from wherever, one in each clock hour, and those count apart.
local function taker(by, now) return by == 'h' and string.format('h:%.0f', math.floor(now / HOUR)) or by end

-- ms until `by` may take one, and 1 where a human check would help now.
local function extra_rest(sends, by, most, now)
  bring_back(sends, now)
  local rows, times, own, helps = {}, {}, nil, 1
  rows = redis.call('ZRANGE', sends, string.format('(%.0f', now - DAY), '+inf', 'BYSCORE', 'WITHSCORES')
  for n = 1, #rows, 2 do
    if rows[n] == taker(by, now) .. '#1' then own = rows[n + 1] + DAY - now end
    if rows[n] == taker('h', now) .. '#1' then helps = 0 end
    if string.sub(rows[n], 1, 2) ~= 'h:' then times[#times + 1] = rows[n + 1] + DAY - now end
  end
  if by == 'h' then return own and HOUR - now % HOUR or 0, 0 end
  return own or times[#times - most + 1] or 0, helps
end
