-- Shared by issue and resend: a lane's rolling day of sends, its pause, and the note of one more.
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

-- A pause is <cid>:<length>:<end>, older ones <cid>:<end>. It ends in its time though the server's clock is set back.
local function cool_rest(cool, now)
  local had = redis.call('GET', cool) or ''
  local rest = (tonumber(string.match(had, ':(%d+)$')) or 0) - now
  local cid, length = string.match(had, '^(.-):(%d+):%d+$')
  if not length or rest <= tonumber(length) then return rest end
  redis.call('SET', cool, table.concat({cid, length, string.format('%.0f', now + length)}, ':'), 'PX', length)
  return tonumber(length)
end

local function note_send(sends, cool, cid, number, pause, now, by)
  redis.call('ZADD', sends, now, (by or cid) .. string.format('#%.0f', number))
  redis.call('ZREMRANGEBYSCORE', sends, '-inf', now - DAY)
  redis.call('PEXPIRE', sends, DAY)
  local rest = math.max(pause, cool_rest(cool, now))
  redis.call('SET', cool, cid .. string.format(':%.0f:%.0f', rest, now + rest), 'PX', rest)
end

-- keep: how long the record tells after its end what has become of it.
local function open_until(record, act, cid, ends, lifetime, keep)
  redis.call('ZADD', act, ends, cid)
  redis.call('PEXPIRE', act, lifetime + keep)
  redis.call('PEXPIRE', record, lifetime + keep)
end

-- Ends the lane's pause, if this challenge's last message began it.
local function warm(cool, cid)
  if string.match(redis.call('GET', cool) or '', '^(.-):') == cid then redis.call('DEL', cool) end
end
