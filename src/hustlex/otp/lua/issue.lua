-- otp.issue: admit a new challenge and write it, or say why not; in one step.
-- EFFECT idempotent  (the cid is a request id: a repeated call finds its own record)
-- KEYS record     hash    otp:{<ref>}:<purpose>:<cid>; bound to the subject: otp:{<ref>}:<purpose>, or otp:{<ref>}
-- KEYS act        zset    otp:{<ref>}:act:<purpose>, lane known: with :known; cid -> its end, ms; others are void
-- KEYS sends      zset    otp:{<ref>}:sends, in lane known with :known   <cid>#<number> -> ms
-- KEYS cool       string  otp:{<ref>}:cool, in lane known with :known    <cid>:<length>:<end of the pause in ms>
-- KEYS lock       hash    otp:{<ref>}:lock:<lane>     until (ms), level
-- ARGV now_ms     int     0: the server's clock
-- ARGV cid        text    128 random bits
-- ARGV lane       text    anon or known
-- ARGV strong     text    s with a longer code, else empty
-- ARGV attempts   int     wrong codes until it locks
-- ARGV life_ms    int     life of the code
-- ARGV keep_ms    int     how long the record stays after it
-- ARGV pause_ms   int     until the next send
-- ARGV day_sends  int     most sends of the lane in 24 hours
-- ARGV most_open  int     most open challenges of the purpose in the lane; the oldest makes room
-- ARGV fields...  text    more of the record as name, value: seed, mac (32 hex digits for each generation it may have;
--                         as many as it has sends), to (the phone, encrypted), ctx, cc, uid, tickets
-- REPLY {1}              written
-- REPLY {2, rest}        the lane is locked, ms
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

redis.call('HSET', record, 'st', 'active', 'cid', cid, 'lane', lane, 'tr', (lane == 'known' and 'k' or '') .. strong,
  'gen', 1, 'att', 0, 'max', attempts, 'sends', 1, 'sent', '', 'exp', now + life_ms, 'next', now + pause_ms,
  unpack(ARGV, 11))
redis.call('ZREMRANGEBYSCORE', act, '-inf', now)
local surplus = redis.call('ZCARD', act) - most_open + 1
if surplus > 0 then redis.call('ZPOPMIN', act, surplus) end
open_until(record, act, cid, now + life_ms, life_ms, keep_ms)
note_send(sends, cool, cid, 1, tonumber(pause_ms), now)
return {1}
