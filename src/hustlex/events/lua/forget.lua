-- events.forget: drop a channel's history; its offsets go on.
-- EFFECT idempotent
-- KEYS stream  stream  <prefix>ev:{<name>}:s  as in events.append
-- REPLY {0}
redis.call('DEL', stream)
return {0}
