-- ratelimit.check_gcra: ratelimit.check for one plain gcra policy.
-- EFFECT once
-- KEYS key       string  ratelimit:{<id>}:<endpoint>:g
-- ARGV now_ms    int     0: the server's clock
-- ARGV limit     int     units per window, only reported
-- ARGV unit      int     microseconds per unit
-- ARGV cost      int     units
-- ARGV burst     int     burst * unit, microseconds
-- REPLY <1 0 0 0 limit ahead>   allowed and charged; as in gcra.lua
-- REPLY <2 0 0 1 limit ahead>   denied
local now = now_ms * 1000
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000000 + t[2]
end
local ahead, stored = 0, redis.call('GET', key)
if stored and stored - now > 0 then ahead = stored - now end
if ahead > burst + 0 then  -- the server's clock was set back
  ahead = burst + 0
  redis.call('SET', key, string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000))
end
local after = ahead + cost * unit
if after > burst + 0 then return '2 0 0 1 ' .. limit .. ' ' .. ahead end
redis.call('SET', key, string.format('%.0f', now + after), 'PX', math.ceil(after / 1000))
return '1 0 0 0 ' .. limit .. ' ' .. after
