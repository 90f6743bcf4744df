-- Bans that escalate, a hash: strikes since `since`, level, until and ban (its length; ms), and when the last strike fell.
local DAY = 86400000
local HIGHEST = 16
local penalty = {}

-- Milliseconds of a ban that are left, or 0. Never more than it was for, whatever the server's clock did.
function penalty.rest(key, now)
  local had = redis.call('HMGET', key, 'until', 'ban')
  return math.max(0, math.min((had[1] or 0) - now, tonumber(had[2] or DAY)))
end

-- The server's clock was set back: the ban ends in its time all the same.
function penalty.settle(key, now)
  local rest = penalty.rest(key, now)
  if rest > 0 and redis.call('HGET', key, 'until') - now > rest then
    redis.call('HSET', key, 'until', string.format('%.0f', now + rest))
  end
end

-- One refusal. With the last strike of a window the level rises, and each ban is twice as long as the one before.
function penalty.strike(key, now, strikes, window, base)
  local had = redis.call('HMGET', key, 'strikes', 'since', 'level', 'last')
  local count, since, level, last = tonumber(had[1] or 0), tonumber(had[2] or now), tonumber(had[3] or 0), had[4] or now
  level = math.max(0, level - math.max(0, math.floor((now - last) / DAY)))
  if now - since >= window or since > now then count, since = 0, now end
  count = count + 1
  local ban = 0
  if count >= strikes then
    level = math.min(level + 1, HIGHEST)
    ban = math.min(base * 2 ^ (level - 1), DAY)
    count, since = 0, now
    redis.call('HSET', key, 'until', now + ban, 'ban', ban)
  end
  redis.call('HSET', key, 'strikes', count, 'since', since, 'level', level, 'last', now + ban)
  redis.call('PEXPIRE', key, ban + math.max(level * DAY, window))
end
