-- jobs.entries: list a scheduler's periodic entries, for 20 seconds.
-- EFFECT idempotent
-- KEYS scheduler   list   asynq:schedulers:{<scheduler id>}
-- ARGV entries... bytes  SchedulerEntry each
-- REPLY int       how many
redis.call('DEL', scheduler)
for _, entry in ipairs(ARGV) do redis.call('LPUSH', scheduler, entry) end
redis.call('EXPIRE', scheduler, 20)
return #ARGV
