-- otp.unreserve: a message that was refused elsewhere, or reached nobody, gives back what otp.reserve took for it.
-- EFFECT once
-- ALLOW-OOM it makes room
-- KEYS meter       hash  as in otp.reserve
-- ARGV now_ms      int   0: the server's clock
-- ARGV window_ms   int   the cap's window
-- ARGV member      text  stand-in of the number where distinct ones are counted, else empty
-- ARGV at          int   when it was taken, ms
-- ARGV before      int   the number's time before that, ms
-- ARGV probing     int   1, 2: it was a probe, 2 behind a human check
-- ARGV gap_ms      int   breaker: between two messages of a scope that it slows down
-- ARGV price       int   of the message
-- ARGV unit        int   0: the unit of the cap stays taken
-- ARGV sent        int   1: it was counted as sent (otp.adjust)
-- REPLY {1}        given back, what still counts
-- @include clock
-- @include meter
-- @include breaker
local now, taken = clock(now_ms), tonumber(at)
if sent == '1' then uncount(meter, 's', bucket(taken, HOUR), now, HOUR, 1) end
if member ~= '' then
  -- Only the call that set the time may set it back: a later one for the same number counts.
  if tonumber(redis.call('HGET', meter, 'n' .. member) or 0) == taken then
    if tonumber(before) > 0 then
      redis.call('HSET', meter, 'n' .. member, before)
    else
      redis.call('HDEL', meter, 'n' .. member)
    end
  end
elseif unit == '1' then
  uncount(meter, 'c', bucket(taken, tonumber(window_ms)), now, tonumber(window_ms), 1)
end
if tonumber(price) > 0 and tonumber(redis.call('HGET', meter, 'day') or 0) == math.floor(taken / DAY) then
  redis.call('HINCRBY', meter, 'spent', -price)
end
if probing ~= '0' then unprobe(meter, taken, tonumber(gap_ms), tonumber(probing)) end
return {1}
