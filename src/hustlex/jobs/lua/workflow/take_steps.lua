-- jobs.take_steps: steps that are to be looked at now, 100 at most; nobody else gets them for a while.
-- EFFECT idempotent     a repeat takes the next ones; those of a lost reply come again
-- KEYS open     zset    asynq:x:{flows}:open  as in jobs.note_steps; a half second: there was nothing to see
-- ARGV now_ms   int     0: the server's clock
-- ARGV pause_s  int     until the next look
-- REPLY {1, wait_s, rows}  wait_s: until the next one is due, -1 = there is none; rows: member, 1 = seen missing before
-- @include clock
local now_s = math.floor(clock(now_ms) / 1000)
local due = redis.call('ZRANGEBYSCORE', open, '-inf', now_s, 'WITHSCORES', 'LIMIT', 0, 100)
local reply = {1, -1}
for n = 1, #due, 2 do
  redis.call('ZADD', open, now_s + pause_s, due[n])
  reply[#reply + 1] = due[n]
  reply[#reply + 1] = due[n + 1] % 1 > 0 and 1 or 0
end
local first = redis.call('ZRANGE', open, 0, 0, 'WITHSCORES')[2]
if first then reply[2] = math.max(0, math.ceil(first - now_s)) end
return reply
