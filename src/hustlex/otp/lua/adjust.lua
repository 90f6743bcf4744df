-- otp.adjust: what became of messages and codes: sent, verified (units go back), right and wrong codes.
-- EFFECT once
-- KEYS meter       hash  as in otp.reserve
-- ARGV now_ms      int   0: the server's clock
-- ARGV keep_ms     int   life of the key from now on
-- ARGV window_ms   int   the cap's window
-- ARGV taken       int   units used up without a message, by nonsense
-- ARGV sent        int   messages that were sent
-- ARGV verified    int   verified challenges
-- ARGV wrong       int   wrong codes
-- ARGV wins        int   verified ones of probes
-- ARGV enough      int   breaker: wins that close it
-- ARGV guess_ms    int   window of the guess counts; 0: they are not counted here
-- ARGV checks      int   fewest codes to judge by
-- ARGV percent     int   share of wrong ones above which codes get longer
-- ARGV quiet_ms    int   for how long
-- ARGV ats...      int   when each unit that is given back was taken, ms
-- REPLY {1, guessed}     1: codes get longer from now on
-- @include clock
-- @include meter
-- @include breaker
local now, window, guess = clock(now_ms), tonumber(window_ms), tonumber(guess_ms)
local back = {}
for n = 14, #ARGV do
  local number = bucket(tonumber(ARGV[n]), window)
  back[number] = (back[number] or 0) + 1
end
for number, units in pairs(back) do uncount(meter, 'c', number, now, window, units) end
if tonumber(taken) > 0 then count(meter, 'c', now, window, taken) end
if tonumber(sent) > 0 then count(meter, 's', now, HOUR, sent) end
if tonumber(verified) > 0 then
  count(meter, 'v', now, HOUR, verified)
  if guess > 0 then count(meter, 'y', now, guess, verified) end
end
if tonumber(wins) > 0 then win(meter, read_meter(meter), wins, tonumber(enough)) end
local guessed = 0
if tonumber(wrong) > 0 and guess > 0 then
  count(meter, 'x', now, guess, wrong)
  local fields, newest = read_meter(meter), bucket(now, guess)
  local bad = total(fields, 'x', newest, 0)
  local all = bad + total(fields, 'y', newest, 0)
  if all >= tonumber(checks) and bad * 100 > percent * all then
    guessed = (fields.guess or 0) <= now and 1 or 0
    redis.call('HSET', meter, 'guess', now + quiet_ms)
  end
end
redis.call('PEXPIRE', meter, keep_ms)
return {1, guessed}
