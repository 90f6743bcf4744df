-- otp.issue: admit a new challenge and write it, or say why not; in one step.
-- EFFECT idempotent  (the cid is a request id: a repeated call finds its own record)
-- KEYS record     hash    otp:{<ref>}:<purpose>:<cid>; bound to the subject: otp:{<ref>}:<purpose>, or otp:{<ref>}
-- KEYS act        zset    otp:{<ref>}:act:<purpose>   cid -> end of life in ms; what is not in it is void
-- KEYS sends      zset    otp:{<ref>}:sends           <cid>#<number> -> ms
-- KEYS cool       string  otp:{<ref>}:cool            <cid>:<end of the pause in ms>
-- KEYS lock_anon  hash    otp:{<ref>}:lock:anon       until (ms), level
-- KEYS lock_known hash    otp:{<ref>}:lock:known      until (ms), level
-- KEYS devices    zset    otp:{<ref>}:dev             mark of a device token -> its end in ms
-- ARGV now_ms     int     0: the server's clock
-- ARGV cid        text    128 random bits
-- ARGV lane       text    anon or known, as the caller vouches
-- ARGV device     text    mark of the device token shown, or empty; one of this phone's makes the lane known
-- ARGV strong     text    s with a longer code, else empty
-- ARGV attempts   int     wrong codes until it locks
-- ARGV life_ms    int     life of the code
-- ARGV keep_ms    int     how long the record stays after it
-- ARGV pause_ms   int     until the next send
-- ARGV day_sends  int     most sends of the phone in 24 hours
-- ARGV most_open  int     most open challenges of the purpose; the oldest makes room
-- ARGV fields...  text    more of the record as name, value: seed, mac (32 hex digits for each generation it may have;
--                         as many as it has sends), to (the phone, encrypted), ctx, cc, uid, tickets
-- REPLY {1, known}       written; 1: in lane known
-- REPLY {2, rest}        the lane is locked, ms
-- REPLY {3, rest}        too soon after the last send, ms
-- REPLY {4, rest}        the day's sends are used up, ms until the oldest leaves
-- @include clock
-- @include lock
-- @include sending
local now = clock(now_ms)
local id, held = unpack(redis.call('HMGET', record, 'cid', 'lane'))
if id == cid then return {1, held == 'known' and 1 or 0} end
if (tonumber(device ~= '' and redis.call('ZSCORE', devices, device) or 0)) > now then lane = 'known' end
local rest = lock_rest(lane == 'known' and lock_known or lock_anon, now)
if rest > 0 then return {2, rest} end
rest = cool_rest(cool, now)
if rest > 0 then return {3, rest} end
rest = day_rest(sends, day_sends, now)
if rest > 0 then return {4, rest} end

redis.call('HSET', record, 'st', 'active', 'cid', cid, 'lane', lane, 'tr', (lane == 'known' and 'k' or '') .. strong,
  'gen', 1, 'att', 0, 'max', attempts, 'sends', 1, 'sent', '', 'exp', now + life_ms, 'next', now + pause_ms,
  unpack(ARGV, 12))
redis.call('ZREMRANGEBYSCORE', act, '-inf', now)
local surplus = redis.call('ZCARD', act) - most_open + 1
if surplus > 0 then redis.call('ZPOPMIN', act, surplus) end
open_until(record, act, cid, now + life_ms, life_ms, keep_ms)
note_send(sends, cool, cid, 1, tonumber(pause_ms), now)
return {1, lane == 'known' and 1 or 0}
