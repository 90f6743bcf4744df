-- ratelimit.check_log: ratelimit.check for one plain log.
-- EFFECT idempotent      by the request id
-- KEYS key       zset    ratelimit:{<id>}:<endpoint>:z
-- ARGV now_ms    int     0: the server's clock
-- ARGV limit     int     units
-- ARGV window    int     microseconds
-- ARGV cost      int     units
-- ARGV request   text    id of this call, 11 characters
-- REPLY <0 time>         the server's clock was set back: nothing was charged
-- REPLY <1 time 0 limit used 0 more reset>      allowed and charged, now or by this call before; as in log.lua
-- REPLY <2 time 1 limit used retry more reset>  denied
local given_ms = now_ms
-- @include moment
local us = seconds * 1000000 + micros
redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', us - window))
local count, room = redis.call('ZCARD', key), limit - cost
local newest = count > 0 and redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2] or us
if newest - us > 0 then return '0 ' .. seconds .. ' ' .. micros end

-- Microseconds until the entry at this place has left.
local function leaves(place)
  return redis.call('ZRANGE', key, place, place, 'WITHSCORES')[2] + window - us
end

local stamp = string.format('%.0f', us)
if count > room and not redis.call('ZSCORE', key, request) then
  local retry, more = 0, 0
  if count > 0 then more = leaves(0) end
  if room >= 0 then retry = leaves(count - room - 1) end
  local reset = count > 0 and newest + window - us or 0
  local head = '2 ' .. seconds .. ' ' .. micros .. ' 1 ' .. limit .. ' ' .. count
  return head .. ' ' .. retry .. ' ' .. more .. ' ' .. reset
end
if count <= room and redis.call('ZADD', key, 'NX', stamp, request) == 1 then
  for unit = 2, cost do redis.call('ZADD', key, stamp, request .. '#' .. unit) end
  redis.call('PEXPIRE', key, window / 1000 + 1000)
  count, newest = count + cost, us
end
local head = '1 ' .. seconds .. ' ' .. micros .. ' 0 ' .. limit .. ' ' .. count
return head .. ' 0 ' .. leaves(0) .. ' ' .. newest + window - us
