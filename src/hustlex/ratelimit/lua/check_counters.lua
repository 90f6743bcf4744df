-- ratelimit.check_counters: ratelimit.check_counter for several subjects of one policy, and several callers of each.
-- EFFECT once
-- KEYS keys...   string  ratelimit:{<id>}:<endpoint>:<window start> and :w, per subject the four of check_counter; of
--                        several slots where the server is no cluster
-- ARGV now_ms    int     0: the server's clock
-- ARGV limit     int     units
-- ARGV window    int     milliseconds
-- ARGV cost      int     units of one caller
-- ARGV start     int     when this window starts, milliseconds
-- ARGV carries   int     1: the previous window counts too (counter); 0: it does not (fixed)
-- ARGV callers... int    per subject, how many ask; none: one each
-- REPLY <line ...>       see together.lua; each caller that passes uses cost more than the one before
local given_ms = now_ms
-- @include moment
-- @include lives
-- @include together
local left, units, time = start + window - now, cost + 0, seconds .. ' ' .. micros
local life = left + carries * window + 1000
return together(4, 7, function(callers, before, this, after, mark)
  if left <= 0 or left > window + 0 then return nil end
  local values = redis.call('MGET', before, this, after, mark)
  local marked = values[4]
  if newest(marked) > math.floor(start / 1000) or values[3] and of_life(marked, values[3]) > 0 then return nil end
  local last, used = of_life(marked, values[1]), of_life(marked, values[2])
  local previous = carries == '1' and last or 0
  local passing = passing_of(callers, limit - used - math.ceil(previous * left / window), units)
  if passing > 0 and used > 0 then
    redis.call('INCRBY', this, passing * units)
  elseif passing > 0 then
    redis.call('SET', this, born(marked) + passing * units, 'PX', life)
    if last > 0 then redis.call('SET', mark, born(marked) + math.floor(start / 1000), 'PX', life) end
  end
  local numbers = limit .. ' ' .. previous .. ' '
  local refusal = '2 ' .. time .. ' 1 ' .. numbers .. used + passing * units
  return passing > 0 and '1 ' .. time .. ' 0 ' .. numbers .. used + units or refusal, passing, refusal
end)
