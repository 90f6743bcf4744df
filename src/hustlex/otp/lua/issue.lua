-- otp.issue: admit a new challenge and write it, or say why not; in one step.
-- EFFECT idempotent  (the cid is a request id: a repeated call finds its own record)
-- KEYS record     hash    otp:{<ref>}:<purpose>:<cid>; bound to the subject: otp:{<ref>}:<purpose>, or otp:{<ref>}
-- KEYS list       zset    otp:{<ref>}:sends, other lanes: with :<lane>   where it is listed, see listed.lua
-- KEYS act        zset    otp:{<ref>}:act:<purpose>, other lanes: with :<lane>; names its place there; the older list
-- KEYS sends      zset    otp:{<ref>}:sends, other lanes: with :<lane>   see sending.lua
-- KEYS cool       string  otp:{<ref>}:cool, other lanes: with :<lane>    an older pause
-- KEYS lock       hash    otp:{<ref>}:lock:<lane>     until (ms), level
-- ARGV now_ms     int     0: the server's clock
-- ARGV cid        text    128 random bits
-- ARGV traits     text    k in lane known, e in lane extra, else empty
-- ARGV by         text    who asks, in lane extra: n:<network>, or h: who passed a human check; else empty
-- ARGV strong     text    s with a longer code, else empty
-- ARGV attempts   int     wrong codes until it locks
-- ARGV life_ms    int     life of the code
-- ARGV keep_ms    int     how long the record stays after it
-- ARGV pause_ms   int     until the next send
-- ARGV day_sends  int     most sends of the lane in 24 hours, in lane extra of those by networks
-- ARGV most_open  int     most open challenges of the purpose in the lane; the oldest makes room
-- ARGV fields...  bytes   more of the record as name, value, see parts.lua: of (most sends), seed, macs (16 bytes for each
--                         send), to (the phone, encrypted), ctx, cc, uid, tickets; bound to the subject cid and kid; in the
--                         plain layout mac, 32 hex digits for each, in place of macs
-- REPLY {1}              written
-- REPLY {2, rest}        the lane is locked, ms
-- REPLY {3, rest}        too soon after the last send, ms
-- REPLY {4, rest, helps} the day's sends are used up, ms until the oldest leaves; 1: a human check would help now
-- @include clock
-- @include lock
-- @include forget
-- @include listed
-- @include sending
-- @include opening
-- @include extra
local now = clock(now_ms)
local there, id = unpack(redis.call('HMGET', record, 'st', 'cid'))
if there and (id or cid) == cid then return {1} end
local rest = lock_rest(lock, now)
if rest > 0 then return {2, rest} end
rest = cool_rest(sends, cool, now)
if rest > 0 then return {3, rest} end
local helps = 0
if by == '' then rest = day_rest(sends, day_sends, now) else rest, helps = extra_rest(sends, by, day_sends, now) end
if rest > 0 then return {4, rest, helps} end

local values = {'st', 'active', 'gen', 1, 'att', 0, 'max', attempts, 'sends', 1, 'exp', now + life_ms,
  'next', now + pause_ms, unpack(ARGV, 12)}
if traits .. strong ~= '' then values[#values + 1], values[#values + 2] = 'tr', traits .. strong end
redis.call('HSET', record, unpack(values))
if there then keep_only(record, values) end
local under = by ~= '' and taker(by, now) or nil
if under then redis.call('HSET', record, 'by', under) end
make_place(list, act, tonumber(most_open), now)
open_until(record, list, act, cid, now + life_ms, life_ms, keep_ms)
note_send(sends, cool, cid, 1, tonumber(pause_ms), now, under)
return {1}
