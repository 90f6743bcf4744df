-- jobs.publish_schedules: tell which periodic entries a scheduler has in its code; forget those untold for a minute.
-- EFFECT idempotent
-- KEYS static  hash   asynq:x:{schedules}:static  "<ms> <definition>" by name; lives for a day
-- ARGV now_ms  int    0: the server's clock
-- ARGV entries...  pairs  name, definition
-- REPLY int    how many were told
-- @include clock
local now = clock(now_ms)
local told = redis.call('HGETALL', static)
for i = 1, #told, 2 do
  if now - tonumber(told[i + 1]:match('^%d+')) > 60000 then redis.call('HDEL', static, told[i]) end
end
for i = 2, #ARGV, 2 do
  redis.call('HSET', static, ARGV[i], string.format('%.0f ', now) .. ARGV[i + 1])
end
redis.call('EXPIRE', static, 86400)
return (#ARGV - 1) / 2
