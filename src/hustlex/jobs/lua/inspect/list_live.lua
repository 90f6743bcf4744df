-- jobs.list_live: the keys of processes that were seen lately; forgets the others.
-- EFFECT idempotent
-- KEYS registry  zset   asynq:servers, asynq:workers or asynq:schedulers: key by Unix second of expiry
-- ARGV now_ms    int    0: the server's clock
-- REPLY {1, keys}
-- @include clock
local now_s = math.floor(clock(now_ms) / 1000)
redis.call('ZREMRANGEBYSCORE', registry, '-inf', now_s - 1)
local reply = {1}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', registry, now_s, '+inf')) do reply[#reply + 1] = key end
return reply
