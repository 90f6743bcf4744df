-- otp.adjust: what became of messages and codes: sent, verified (units go back), right and wrong codes.
-- EFFECT once
-- KEYS meter       hash  as in otp.reserve
-- ARGV now_ms      int   0: the server's clock
-- ARGV keep_ms     int   life of the key from now on
-- ARGV window_ms   int   the cap's window
-- ARGV taken       int   units used up without a message, by nonsense
-- ARGV idle        int   most units that nonsense may use up
-- ARGV sent        int   messages that were sent
-- ARGV lent        int   those of them that count for wider scopes too
-- ARGV verified    int   verified challenges of those
-- ARGV right       int   right codes
-- ARGV wrong       int   wrong codes
-- ARGV wins        int   verified ones of probes
-- ARGV enough      int   breaker: wins that end it; 0: none do
-- ARGV share       int   breaker: percentage of the probes that they must be
-- ARGV guess_ms    int   window of the guess counts; 0: they are not counted here
-- ARGV checks      int   fewest codes to judge by
-- ARGV percent     int   share of wrong ones above which codes get longer
-- ARGV quiet_ms    int   for how long
-- ARGV ats...      text  when each unit that is given back was taken, ms; of distinct numbers <member>@<ms>
-- REPLY {1, guessed}     1: codes get longer from now on
-- @include clock
-- @include meter
-- @include reopen
-- @include guesses
local now, window, guess = clock(now_ms), tonumber(window_ms), tonumber(guess_ms)
local back = {}
for n = 18, #ARGV do
  local member, at = string.match(ARGV[n], '^(.*)@(%d+)$')
  if member then
    -- A message to the number since then still counts.
    if redis.call('HGET', meter, 'n' .. member) == at then redis.call('HDEL', meter, 'n' .. member) end
  else
    local number = bucket(tonumber(ARGV[n]), window)
    back[number] = (back[number] or 0) + 1
  end
end
for number, units in pairs(back) do uncount(meter, 'c', number, now, window, units) end
if tonumber(taken) > 0 then
  local room = idle - total(read_meter(meter), 'c', bucket(now, window), 0)
  if room > 0 then count(meter, 'c', now, window, math.min(taken, room)) end
end
if tonumber(sent) > 0 then count(meter, 's', now, HOUR, sent) end
if tonumber(lent) > 0 then count(meter, 'k', now, HOUR, lent) end
if tonumber(verified) > 0 then count(meter, 'v', now, HOUR, verified) end
if tonumber(right) > 0 and guess > 0 then count(meter, 'y', now, guess, right) end
if tonumber(wins) > 0 and tonumber(enough) > 0 then win(meter, read_meter(meter), wins, tonumber(enough), tonumber(share)) end
local guessed = 0
if tonumber(wrong) > 0 and guess > 0 then
  guessed = count_guesses(meter, now, guess, wrong, tonumber(checks), tonumber(percent), quiet_ms)
end
redis.call('PEXPIRE', meter, keep_ms)
return {1, guessed}
