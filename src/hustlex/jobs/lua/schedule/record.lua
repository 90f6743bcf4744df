-- jobs.record: note one firing of a periodic entry; the newest 1000 are kept, for 30 days after the last.
-- EFFECT idempotent
-- KEYS history    zset   asynq:scheduler_history:<entry id>: event by Unix second
-- ARGV at_s       int    Unix second
-- ARGV event      bytes  SchedulerEnqueueEvent
-- REPLY {0}
redis.call('ZREMRANGEBYRANK', history, 0, -1000)
redis.call('ZADD', history, at_s, event)
redis.call('EXPIRE', history, 2592000)
return {0}
