-- jobs.count_days: attempts that ended on each of the last UTC days, today first.
-- EFFECT read
-- KEYS processed  int    asynq:{<queue>}:processed, whose days are beside it
-- KEYS failed     int    asynq:{<queue>}:failed
-- TOUCHES asynq:{<queue>}:processed:<day>  asynq:{<queue>}:failed:<day>
-- ARGV now_ms     int    0: the server's clock
-- ARGV days       int    1 to 90
-- REPLY {1, triples}     day, processed, failed
-- @include clock
-- @include utc_day
local now_s = math.floor(clock(now_ms) / 1000)
local reply = {1}
for back = 0, tonumber(days) - 1 do
  local day = utc_day(now_s - back * 86400)
  reply[#reply + 1] = day
  reply[#reply + 1] = redis.call('GET', processed .. ':' .. day) or '0'
  reply[#reply + 1] = redis.call('GET', failed .. ':' .. day) or '0'
end
return reply
