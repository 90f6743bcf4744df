-- otp.issue: admit a new challenge and write it, or say why not; in one step.
-- EFFECT idempotent  (the cid is a request id: a repeated call finds its own record)
-- KEYS record     hash    otp:{<ref>}:<purpose>:<cid>; bound to the subject: otp:{<ref>}:<purpose>, or otp:{<ref>}
-- KEYS act        zset    otp:{<ref>}:act:<purpose>, other lanes: with :<lane>; cid -> its end, ms; others are void
-- KEYS sends      zset    otp:{<ref>}:sends, other lanes: with :<lane>   <cid>#<number> -> ms; lane extra: <by>#1
-- KEYS cool       string  otp:{<ref>}:cool, other lanes: with :<lane>    <cid>:<length>:<end of the pause in ms>
-- KEYS lock       hash    otp:{<ref>}:lock:<lane>     until (ms), level
-- ARGV now_ms     int     0: the server's clock
-- ARGV cid        text    128 random bits
-- ARGV lane       text    anon, known or extra
-- ARGV traits     text    k in lane known, e in lane extra, else empty
-- ARGV by         text    who asks, in lane extra: n:<network>, or h: who passed a human check; else empty
-- ARGV strong     text    s with a longer code, else empty
-- ARGV attempts   int     wrong codes until it locks
-- ARGV life_ms    int     life of the code
-- ARGV keep_ms    int     how long the record stays after it
-- ARGV pause_ms   int     until the next send
-- ARGV day_sends  int     most sends of the lane in 24 hours, in lane extra of those by networks
-- ARGV most_open  int     most open challenges of the purpose in the lane; the oldest makes room
-- ARGV fields...  text    more of the record as name, value: seed, mac (32 hex digits for each generation it may have;
--                         as many as it has sends), to (the phone, encrypted), ctx, cc, uid, tickets
-- REPLY {1}              written
-- REPLY {2, rest}        the lane is locked, ms
-- REPLY {3, rest}        too soon after the last send, ms
-- REPLY {4, rest, helps} the day's sends are used up, ms until the oldest leaves; 1: a human check would help now
-- @include clock
-- @include lock
-- @include sending
-- @include extra
local now = clock(now_ms)
if redis.call('HGET', record, 'cid') == cid then return {1} end
local rest = lock_rest(lock, now)
if rest > 0 then return {2, rest} end
rest = cool_rest(cool, now)
if rest > 0 then return {3, rest} end
local helps = 0
if by == '' then rest = day_rest(sends, day_sends, now) else rest, helps = extra_rest(sends, by, day_sends, now) end
if rest > 0 then return {4, rest, helps} end

redis.call('HSET', record, 'st', 'active', 'cid', cid, 'lane', lane, 'tr', traits .. strong,
  'gen', 1, 'att', 0, 'max', attempts, 'sends', 1, 'sent', '', 'exp', now + life_ms, 'next', now + pause_ms,
  unpack(ARGV, 13))
local under = by ~= '' and taker(by, now) or nil
if under then redis.call('HSET', record, 'by', under) end
redis.call('ZREMRANGEBYSCORE', act, '-inf', now)
local surplus = redis.call('ZCARD', act) - most_open + 1
if surplus > 0 then redis.call('ZPOPMIN', act, surplus) end
open_until(record, act, cid, now + life_ms, life_ms, keep_ms)
note_send(sends, cool, cid, 1, tonumber(pause_ms), now, under)
return {1}
