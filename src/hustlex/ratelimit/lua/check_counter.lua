-- ratelimit.check_counter: ratelimit.check for one plain counter or fixed window, which most calls are.
-- EFFECT once
-- KEYS before    string  ratelimit:{<id>}:<endpoint>:<window start>
-- KEYS this      string  ratelimit:{<id>}:<endpoint>:<window start>
-- KEYS after     string  ratelimit:{<id>}:<endpoint>:<window start>
-- KEYS mark      string  ratelimit:{<id>}:<endpoint>:w
-- ARGV now_ms    int     0: the server's clock
-- ARGV limit     int     units
-- ARGV window    int     milliseconds
-- ARGV cost      int     units
-- ARGV start     int     when this window starts, milliseconds
-- ARGV carries   int     1: the previous window counts too (counter); 0: it does not (fixed)
-- REPLY <0 time>         the server's clock is in another window, or was set back: nothing was done
-- REPLY <1 time 0 limit previous current>   allowed and charged
-- REPLY <2 time 1 limit previous current>   denied
local given_ms = now_ms
-- @include moment
-- @include lives
local left = start + window - now
if left <= 0 or left > window + 0 then return '0 ' .. seconds .. ' ' .. micros end
local values = redis.call('MGET', before, this, after, mark)
local marked = values[4]
if newest(marked) > math.floor(start / 1000) or values[3] and of_life(marked, values[3]) > 0 then
  return '0 ' .. seconds .. ' ' .. micros
end
local last, used, units = of_life(marked, values[1]), of_life(marked, values[2]), cost + 0
local previous = carries == '1' and last or 0
if used + math.ceil(previous * left / window) + units > limit + 0 then
  return '2 ' .. seconds .. ' ' .. micros .. ' 1 ' .. limit .. ' ' .. previous .. ' ' .. used
end
if used > 0 then
  redis.call('INCRBY', this, cost)
else
  local life = left + carries * window + 1000
  redis.call('SET', this, born(marked) + units, 'PX', life)
  if last > 0 then redis.call('SET', mark, born(marked) + math.floor(start / 1000), 'PX', life) end
end
return '1 ' .. seconds .. ' ' .. micros .. ' 0 ' .. limit .. ' ' .. previous .. ' ' .. used + units
