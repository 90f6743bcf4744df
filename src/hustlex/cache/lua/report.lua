-- cache.report: add what a process has counted since its last report to what all have.
-- EFFECT once
-- KEYS tally       hash     <prefix>cs:<five minutes>: by "<cache> <what>" how often
-- ARGV keep_ms     int
-- ARGV most        int      fields; a new one beyond them is left out
-- ARGV counts...   text     field and number, in turn
-- REPLY {1}                 done
local room = tonumber(most) - redis.call('HLEN', tally)
for n = 3, #ARGV, 2 do
  if room > 0 or redis.call('HEXISTS', tally, ARGV[n]) == 1 then
    if redis.call('HINCRBY', tally, ARGV[n], ARGV[n + 1]) == tonumber(ARGV[n + 1]) then room = room - 1 end
  end
end
if redis.call('PTTL', tally) < 0 then redis.call('PEXPIRE', tally, keep_ms) end
return {1}
