-- jobs.advance: put the next version of a bulk act in the place of the one that was read, with what belongs to it.
-- EFFECT idempotent      a repeat finds another version
-- KEYS record   string   asynq:x:bulk:{<id>}
-- KEYS items    list     asynq:x:bulk:{<id>}:items
-- KEYS report   string   asynq:x:bulk:{<id>}:report
-- ARGV was      bytes    the version that was read, "" none
-- ARGV becomes  bytes
-- ARGV life_s   int
-- ARGV at       int      from which item on its letters are
-- ARGV letters  text     "" none
-- ARGV more...  bytes    further items
-- REPLY {1}     done
-- REPLY {0}     somebody else was here
local now = redis.call('GET', record) or ''
if now ~= was then return {0} end
redis.call('SET', record, becomes, 'EX', life_s)
if letters ~= '' then redis.call('SETRANGE', report, at, letters) end
for n = 6, #ARGV do redis.call('RPUSH', items, ARGV[n]) end
redis.call('EXPIRE', items, life_s)
redis.call('EXPIRE', report, life_s)
return {1}
