-- ratelimit.check_gcras: ratelimit.check_gcra for several subjects of one policy, and several callers of each.
-- EFFECT once
-- KEYS keys...   string  ratelimit:{<id>}:<endpoint>:g, one per subject; of several slots where the server is no cluster
-- ARGV now_ms    int     0: the server's clock
-- ARGV limit     int     units per window, only reported
-- ARGV unit      int     microseconds per unit
-- ARGV cost      int     units of one caller
-- ARGV burst     int     burst * unit, microseconds
-- ARGV callers... int    per subject, how many ask; none: one each
-- REPLY <line ...>       see together.lua; each caller that passes is cost * unit further ahead than the one before
local given_ms = now_ms
-- @include moment
-- @include together
local us, step, most = seconds * 1000000 + micros, cost * unit, burst + 0
return together(1, 6, function(callers, at)
  local key, ahead = KEYS[at], 0
  local stored = redis.call('GET', key)
  if stored and stored - us > 0 then ahead = stored - us end
  local passing = passing_of(callers, most - math.min(ahead, most), step)
  local after = math.min(ahead, most) + passing * step
  if after ~= ahead then  -- also where the server's clock was set back
    redis.call('SET', key, string.format('%.0f', us + after), 'PX', math.ceil(after / 1000))
  end
  local refusal = passing < callers and '2 0 0 1 ' .. limit .. ' ' .. after
  return passing > 0 and '1 0 0 0 ' .. limit .. ' ' .. after - (passing - 1) * step or refusal, passing, refusal
end)
