-- otp.look: how a phone's lanes stand and which codes are open, for an operator; counts nothing and repairs nothing.
-- EFFECT read
-- KEYS devices    zset    otp:{<ref>}:dev             mark of a device token -> its end in ms
-- KEYS keys...    mixed   otp:{<ref>}: of lanes anon, known, extra: sends, cool, fail, lock; then the act of each purpose and lane
-- ARGV now_ms     int     0: the server's clock
-- REPLY {remembered, lanes, open}   devices; per lane {sends, pause, wrong, rest, level}: of 24 hours, ms, of 24 hours, ms, the
--                         locks in a row; per act the ms until each open code ends
-- @include clock
-- @include listed
-- @include sending
local now = clock(now_ms)
local function since(key) return redis.call('ZCOUNT', key, string.format('(%.0f', now - DAY), '+inf') end

-- Never longer than it was for: the server's clock may have been set back.
local function pause(sends, cool)
  local pause, ended = pause_of(sends)
  local had = pause and pause .. string.format(':%.0f', ended) or redis.call('GET', cool) or ''
  local rest = (tonumber(string.match(had, ':(%d+)$')) or 0) - now
  return math.max(0, math.min(rest, tonumber(string.match(had, ':(%d+):%d+$')) or rest))
end

local function lock(key)
  local ends, length, level = unpack(redis.call('HMGET', key, 'until', 'len', 'level'))
  local rest = (tonumber(ends) or 0) - now
  return math.max(0, math.min(rest, tonumber(length) or rest)), tonumber(level) or 0
end

local lanes, open = {}, {}
for at = 2, 13, 4 do
  local rest, level = lock(KEYS[at + 3])
  lanes[#lanes + 1] = {since(KEYS[at]), pause(KEYS[at], KEYS[at + 1]), since(KEYS[at + 2]), rest, level}
end
for at = 14, #KEYS do
  local ends, rests = redis.call('ZRANGE', KEYS[at], string.format('(%.0f', now), '+inf', 'BYSCORE', 'LIMIT', 0, 20, 'WITHSCORES'), {}
  for n = 2, #ends, 2 do rests[#rests + 1] = ends[n] - now end
  local list, place = KEYS[2 + 4 * ((at - 14) % 3)], place_of(KEYS[at])
  ends = redis.call('ZRANGE', list, string.format('(-%.0f', now), '-inf', 'BYSCORE', 'REV', 'WITHSCORES')
  for n = 1, #ends, 2 do
    if string.sub(ends[n], 1, #place) == place then rests[#rests + 1] = -ends[n + 1] - now end
  end
  open[#open + 1] = rests
end
return {redis.call('ZCOUNT', devices, string.format('(%.0f', now), '+inf'), lanes, open}
