-- Shared by issue and resend: a lane's rolling day of sends, its pause, and the note of one more. All in one sorted set:
-- a send is <cid, short>#<number> -> ms, in lane extra <by>#1; the pause is =<cid, short>:<length> -> its end in ms, below 0; so
-- are the open challenges (listed.lua).
-- Nothing is removed before the first write that needs memory: a full server only refuses a script at its first write.
local DAY, HOUR = 86400000, 3600000

-- Sent in the future: the server's clock was set back. They count as sent now.
local function bring_back(sends, now)
  for _, late in ipairs(redis.call('ZRANGE', sends, string.format('(%.0f', now), '+inf', 'BYSCORE')) do
    redis.call('ZADD', sends, string.format('%.0f', now), late)
  end
end

local function day_rest(sends, most, now)
  if redis.call('ZCOUNT', sends, string.format('(%.0f', now - DAY), '+inf') < tonumber(most) then return 0 end
  bring_back(sends, now)
  return redis.call('ZRANGE', sends, -most, -most, 'WITHSCORES')[2] + DAY - now
end

-- A pause ends in its time though the server's clock is set back. Older ones are strings, <cid>:<length>:<end> or <cid>:<end>.
local function pause_of(sends)
  local ends = redis.call('ZRANGE', sends, '-inf', '(0', 'BYSCORE', 'WITHSCORES')
  for n = 1, #ends, 2 do
    if string.sub(ends[n], 1, 1) == '=' then return ends[n], -ends[n + 1] end
  end
end

local function cool_rest(sends, cool, now)
  local pause, ended = pause_of(sends)
  if not pause then return (tonumber(string.match(redis.call('GET', cool) or '', ':(%d+)$')) or 0) - now end
  local rest, length = ended - now, tonumber(string.match(pause, ':(%d+)$'))
  if rest <= length then return rest, pause end
  redis.call('ZADD', sends, string.format('-%.0f', now + length), pause)
  return length, pause
end

local function note_send(sends, cool, cid, number, pause, now, by)
  local rest, former = cool_rest(sends, cool, now)
  rest = math.max(pause, rest)
  local latter = '=' .. short(cid) .. string.format(':%.0f', rest)
  redis.call('ZADD', sends, now, (by or short(cid)) .. string.format('#%.0f', number), string.format('-%.0f', now + rest), latter)
  if former and former ~= latter then redis.call('ZREM', sends, former) end
  redis.call('ZREMRANGEBYSCORE', sends, 0, now - DAY)
  redis.call('PEXPIRE', sends, math.max(DAY, rest))
end

-- Takes a send back: 0 when it is not there.
local function unsend(sends, by, cid, number)
  return redis.call('ZREM', sends, (by or short(cid)) .. '#' .. number, (by or cid) .. '#' .. number)
end

-- Ends the lane's pause, if this challenge's last message began it.
local function warm(sends, cool, cid)
  local pause = pause_of(sends)
  if pause and string.match(pause, '^=(.-):') == short(cid) then redis.call('ZREM', sends, pause) end
  if string.match(redis.call('GET', cool) or '', '^(.-):') == cid then redis.call('DEL', cool) end
end
