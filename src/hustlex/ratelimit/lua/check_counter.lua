-- ratelimit.check_counter: ratelimit.check for one plain counter or fixed window, which most calls are.
-- EFFECT once
-- KEYS before    string  ratelimit:{<id>}:<endpoint>:<window start>
-- KEYS this      string  ratelimit:{<id>}:<endpoint>:<window start>
-- KEYS after     string  ratelimit:{<id>}:<endpoint>:<window start>
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
local left = start + window - now
if left <= 0 or left > window + 0 then return '0 ' .. seconds .. ' ' .. micros end
local counts = redis.call('MGET', before, this, after)
if counts[3] then return '0 ' .. seconds .. ' ' .. micros end
local previous = carries == '1' and counts[1] or 0
local used, units = counts[2] or 0, cost + 0
if used + math.ceil(previous * left / window) + units > limit + 0 then
  return '2 ' .. seconds .. ' ' .. micros .. ' 1 ' .. limit .. ' ' .. previous .. ' ' .. used
end
if counts[2] then
  redis.call('INCRBY', this, cost)
else
  redis.call('SET', this, cost, 'PX', left + carries * window + 1000)
end
return '1 ' .. seconds .. ' ' .. micros .. ' 0 ' .. limit .. ' ' .. previous .. ' ' .. used + units
