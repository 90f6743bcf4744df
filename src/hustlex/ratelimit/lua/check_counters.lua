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
local left, most, whole, units, time = start + window - now, limit + 0, window + 0, cost + 0, seconds .. ' ' .. micros
local begins, life = math.floor(start / 1000), left + carries * window + 1000
local begun, judge = {}, nil

-- A caller's first line is made of texts that are made once for all, and of a number or two: these take as long as a key.
local passed, refused = '1 ' .. time .. ' 0 ' .. limit .. ' ', '2 ' .. time .. ' 1 ' .. limit .. ' '

-- For who is asked about twice in this call: what was read at its beginning is no longer so.
local function again(callers, at)
  local fresh = redis.call('MGET', unpack(KEYS, at, at + 3))
  return judge(callers, at, fresh[1], fresh[2], fresh[3], fresh[4], true)
end

function judge(callers, at, last, used, after, marked, anew)
  if newest(marked) > begins or after and of_life(marked, after) > 0 then return nil end
  last, used = of_life(marked, last), of_life(marked, used)
  local this, previous = KEYS[at + 1], carries == '1' and last or 0
  local passing = passing_of(callers, most - used - math.ceil(previous * left / whole), units)
  local total, value = used + passing * units, born(marked) + used + passing * units
  if passing > 0 and used > 0 then
    if redis.call('INCRBY', this, passing * units) ~= value and not anew then
      redis.call('INCRBY', this, -passing * units)
      return again(callers, at)
    end
  elseif passing > 0 then
    if begun[this] and not anew then return again(callers, at) end
    begun[this] = true
    redis.call('SET', this, value, 'PX', life)
    if last > 0 then redis.call('SET', KEYS[at + 3], born(marked) + begins, 'PX', life) end
  end
  local refusal = passing < callers and refused .. previous .. ' ' .. total
  return passing > 0 and passed .. previous .. ' ' .. used + units or refusal, passing, refusal
end

-- All are read at once: a command costs more than the four keys of another subject.
local values = redis.call('MGET', unpack(KEYS))
return together(4, 7, function(callers, at)
  if left <= 0 or left > whole then return nil end
  return judge(callers, at, values[at], values[at + 1], values[at + 2], values[at + 3])
end)
