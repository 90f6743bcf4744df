-- events.rewind: begin a new epoch where messages that somebody has seen are gone (a failover lost them).
-- EFFECT idempotent
-- KEYS stream   stream  <prefix>ev:{<name>}:s  as in events.append
-- KEYS meta     hash    <prefix>ev:{<name>}:m  as in events.append
-- ARGV epoch    str     in which they were seen
-- ARGV fresh    str     the new one
-- REPLY {0}     the epoch is another one already
-- REPLY {1}     done
if redis.call('HGET', meta, 'e') ~= epoch then return {0} end
redis.call('DEL', stream)
redis.call('HSET', meta, 'e', fresh)
redis.call('HDEL', meta, 's', 'v')
return {1}
