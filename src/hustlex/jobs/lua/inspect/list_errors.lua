-- jobs.list_errors: the groups of failures of one queue that were seen last.
-- EFFECT read
-- KEYS groups  hash  asynq:{<queue>}:x:errors
-- KEYS seen    zset  asynq:{<queue>}:x:errors:seen
-- ARGV now_ms  int   0: the server's clock
-- ARGV most    int   1 or more
-- REPLY {1, now_ms, pairs...}  signature, group as JSON; seen last first
-- @include clock
local signatures = redis.call('ZREVRANGE', seen, 0, most - 1)
local reply = {1, clock(now_ms)}
for n, found in ipairs(#signatures > 0 and redis.call('HMGET', groups, unpack(signatures)) or {}) do
  if found then
    reply[#reply + 1] = signatures[n]
    reply[#reply + 1] = found
  end
end
return reply
