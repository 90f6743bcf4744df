-- otp.resend: admit one more send of an open challenge, with the same code or the next generation's.
-- EFFECT once
-- KEYS record      hash    otp:{<ref>}:<purpose>:<cid>; bound to the subject: otp:{<ref>}:<purpose>, or otp:{<ref>}
-- KEYS act         zset    otp:{<ref>}:act:<purpose>, other lanes: with :<lane>; cid -> its end, ms; others are void
-- KEYS sends       zset    otp:{<ref>}:sends, other lanes: with :<lane>   <cid>#<number> -> ms
-- KEYS cool        string  otp:{<ref>}:cool, other lanes: with :<lane>    <cid>:<length>:<end of the pause in ms>
-- KEYS lock        hash    otp:{<ref>}:lock:<lane>     until (ms), level
-- ARGV now_ms      int     0: the server's clock
-- ARGV cid         text    the challenge
-- ARGV traits      text    as the challenge says
-- ARGV ticket      text    what this message took of the caps
-- ARGV life_ms     int     life of a new generation
-- ARGV keep_ms     int     how long the record stays after it
-- ARGV renew_ms    int     with less life left than this, a new generation replaces the code
-- ARGV day_sends   int     most sends of the phone in 24 hours
-- ARGV pauses_ms...  int   until the next send, after the 1st, 2nd, ... send; the last repeats
-- REPLY {0}                no such open challenge
-- REPLY {1, renewed, life, pause, left}   0 or 1; ms; ms; sends that remain
-- REPLY {2, rest}          the phone is locked, ms
-- REPLY {3, rest}          too soon after the last send, ms
-- REPLY {4, rest}          the day's sends are used up, ms until the oldest leaves
-- REPLY {5, rest}          the challenge's sends are used up, ms until it expires
-- @include clock
-- @include lock
-- @include sending
local now = clock(now_ms)
local rest = lock_rest(lock, now)
if rest > 0 then return {2, rest} end
local st, id, macs, sent, ends, earliest, tr, tickets =
  unpack(redis.call('HMGET', record, 'st', 'cid', 'mac', 'sends', 'exp', 'next', 'tr', 'tickets'))
if st ~= 'active' or id ~= cid or tr ~= traits then return {0} end
if tonumber(ends) <= now or not redis.call('ZSCORE', act, cid) then return {0} end
local life, most = ends - now, #macs / 32
if tonumber(sent) >= most then return {5, life} end
if tonumber(earliest) > now then return {3, earliest - now} end
rest = day_rest(sends, day_sends, now)
if rest > 0 then return {4, rest} end

local renewed = life < tonumber(renew_ms) and 1 or 0
if renewed == 1 then
  life = tonumber(life_ms)
  redis.call('HSET', record, 'exp', now + life, 'att', 0)
  redis.call('HINCRBY', record, 'gen', 1)
  open_until(record, act, cid, now + life, life, keep_ms)
end
sent = sent + 1
local pause = tonumber(ARGV[8 + math.min(sent, #ARGV - 8)])
redis.call('HSET', record, 'sends', sent, 'next', now + pause, 'tickets', tickets .. '|' .. ticket)
note_send(sends, cool, cid, sent, pause, now)
return {1, renewed, life, pause, most - sent}
