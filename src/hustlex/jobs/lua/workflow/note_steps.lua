-- jobs.note_steps: when to look at steps that others wait for.
-- EFFECT idempotent
-- KEYS open     zset   asynq:x:{flows}:open  [queue, id] as JSON, by the Unix second of the next look
-- ARGV now_ms   int    0: the server's clock
-- ARGV life_s   int
-- ARGV rows...  pairs  seconds from now (-1: never again), member
-- REPLY {1}
-- ALLOW-OOM steps that are done with are taken off
-- @include clock
local now_s = math.floor(clock(now_ms) / 1000)
for n = 3, #ARGV, 2 do
  if ARGV[n] == '-1' then
    redis.call('ZREM', open, ARGV[n + 1])
  else
    redis.call('ZADD', open, now_s + ARGV[n], ARGV[n + 1])
  end
end
redis.call('EXPIRE', open, life_s)
return {1}
