-- otp.issue: admit a new challenge and write it, or say why not; in one step.
-- EFFECT idempotent  (the cid is a request id: a repeated call finds its own record)
-- KEYS record    hash    otp:{<ref>}:<purpose>:<cid>; bound to the subject: otp:{<ref>}:<purpose>, or otp:{<ref>}
-- KEYS act       zset    otp:{<ref>}:act:<purpose>   cid -> end of life in ms; what is not in it is void
-- KEYS sends     zset    otp:{<ref>}:sends           <cid>#<number> -> ms
-- KEYS cool      string  otp:{<ref>}:cool            <cid>:<end of the pause in ms>
-- KEYS lock      hash    otp:{<ref>}:lock:<lane>     until (ms), level
-- ARGV now_ms    int     0: the server's clock
-- ARGV cid       text    128 random bits
-- ARGV seed      text    16 random bytes; worth nothing without the derivation key
-- ARGV macs      hex     one MAC of 32 digits per generation the challenge may have; as many as it has sends
-- ARGV sealed    text    the phone, encrypted
-- ARGV ctx       hex     digest of what is approved, or empty
-- ARGV attempts  int     wrong codes until it locks
-- ARGV life_ms   int     life of the code
-- ARGV pause_ms  int     until the next send
-- ARGV day_sends int     most sends of the phone in 24 hours
-- ARGV most_open int     most open challenges of the purpose; the oldest makes room
-- REPLY {1}              written
-- REPLY {2, rest}        the phone is locked, ms
-- REPLY {3, rest}        too soon after the last send, ms
-- REPLY {4, rest}        the day's sends are used up, ms until the oldest leaves
-- @include clock
-- @include lock
-- @include sending
local now = clock(now_ms)
if redis.call('HGET', record, 'cid') == cid then return {1} end
local rest = lock_rest(lock, now)
if rest > 0 then return {2, rest} end
rest = cool_rest(cool, now)
if rest > 0 then return {3, rest} end
rest = day_rest(sends, day_sends, now)
if rest > 0 then return {4, rest} end

redis.call('HSET', record, 'st', 'active', 'cid', cid, 'mac', macs, 'seed', seed, 'gen', 1, 'att', 0, 'max', attempts,
  'sends', 1, 'exp', now + life_ms, 'next', now + pause_ms, 'ctx', ctx, 'to', sealed)
redis.call('ZREMRANGEBYSCORE', act, '-inf', now)
local surplus = redis.call('ZCARD', act) - most_open + 1
if surplus > 0 then redis.call('ZPOPMIN', act, surplus) end
open_until(record, act, cid, now + life_ms, life_ms)
note_send(sends, cool, cid, 1, tonumber(pause_ms), now)
return {1}
