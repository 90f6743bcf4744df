-- jobs.list_events: the next firings of an entry, newest first, and of one second the last member first.
-- EFFECT read
-- KEYS history  zset  asynq:scheduler_history:<entry id>
-- ARGV count    int   1 or more
-- ARGV mark...  pairs score and member behind which to go on, which need not be there any more; none: the newest
-- REPLY {1, pairs...}  member, score
-- @include before
local to = ARGV[2] and rank_of(history, ARGV[2], ARGV[3]) or redis.call('ZCARD', history)
local from, reply = math.max(to - tonumber(count), 0), {1}
local found = to > 0 and redis.call('ZRANGE', history, from, to - 1, 'WITHSCORES') or {}
for n = #found - 1, 1, -2 do
  reply[#reply + 1] = found[n]
  reply[#reply + 1] = found[n + 1]
end
return reply
