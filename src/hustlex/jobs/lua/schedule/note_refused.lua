-- jobs.note_refused: count instants of periodic entries whose task was not enqueued.
-- EFFECT idempotent    for display: a repeat may count twice
-- KEYS refused   hash  asynq:x:{schedules}:refused  "<count> <ms of the last> <why>" by name; lives for 7 days after the
--                                                   last, 1,000 at most
-- ARGV now_ms    int   0: the server's clock
-- ARGV most      int   how many entries may be counted
-- ARGV entries...  pairs  name, why
-- REPLY {0}
-- @include clock
local now = string.format('%.0f', clock(now_ms))
for i = 3, #ARGV, 2 do
  local before = redis.call('HGET', refused, ARGV[i])
  if before or redis.call('HLEN', refused) < tonumber(most) then
    local count = tonumber((before or ''):match('^%d+') or 0) + 1
    redis.call('HSET', refused, ARGV[i], string.format('%.0f ', count) .. now .. ' ' .. ARGV[i + 1])
  end
end
redis.call('EXPIRE', refused, 604800)
return {0}
