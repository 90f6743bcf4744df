-- jobs.beat: say that a worker process lives, what it can run and what it is running.
-- EFFECT idempotent
-- KEYS info        string  asynq:servers:{<host>:<pid>:<server id>}
-- KEYS workers     hash    asynq:workers:{<host>:<pid>:<server id>}
-- KEYS types       string  asynq:x:types:{<host>:<pid>:<server id>}
-- KEYS lists...    any     outside of a cluster the names of live keys, as in Asynq: of servers, and of workers while tasks run
-- ARGV life_s      int     seconds until all are gone
-- ARGV server      bytes   ServerInfo
-- ARGV served      bytes   which task types it has handlers for
-- ARGV running...  pairs   task id, WorkerInfo
-- REPLY int        the server's clock in milliseconds
-- ALLOW-OOM a live server must not look dead
-- @include clock
local now = clock(0)
redis.call('SETEX', info, life_s, server)
redis.call('SETEX', types, life_s, served)
redis.call('DEL', workers)
for i = 4, #ARGV, 2 do redis.call('HSET', workers, ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', workers, life_s)
-- each lists the key of the same place: its name by the second until which it counts
for n = 4, #KEYS do redis.call('ZADD', KEYS[n], math.floor(now / 1000) + life_s, KEYS[n - 3]) end
return now
