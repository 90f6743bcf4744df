-- otp.resend: admit one more send of an open challenge, with the same code or the next generation's.
-- EFFECT once
-- KEYS record      hash    otp:{<ref>}:<purpose>:<cid>; bound to the subject: otp:{<ref>}:<purpose>, or otp:{<ref>}
-- KEYS list        zset    otp:{<ref>}:sends, other lanes: with :<lane>   where it is listed, see listed.lua
-- KEYS act         zset    otp:{<ref>}:act:<purpose>, other lanes: with :<lane>; names its place there; the older list
-- KEYS sends       zset    otp:{<ref>}:sends, other lanes: with :<lane>   see sending.lua
-- KEYS cool        string  otp:{<ref>}:cool, other lanes: with :<lane>    an older pause
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
-- @include parts
-- @include listed
-- @include sending
-- @include opening
local now = clock(now_ms)
local rest = lock_rest(lock, now)
if rest > 0 then return {2, rest} end
local st, id, most, sent, ends, earliest, tr, tickets =
  unpack(redis.call('HMGET', record, 'st', 'cid', 'of', 'sends', 'exp', 'next', 'tr', 'tickets'))
if st ~= 'active' or (id or cid) ~= cid or (tr or '') ~= traits then return {0} end
if tonumber(ends) <= now or not is_listed(list, act, cid) then return {0} end
local life = ends - now
most = tonumber(most) or redis.call('HSTRLEN', record, 'mac') / 32
if tonumber(sent) >= most then return {5, life} end
if tonumber(earliest) > now then return {3, earliest - now} end
rest = day_rest(sends, day_sends, now)
if rest > 0 then return {4, rest} end

local renewed = life < tonumber(renew_ms) and 1 or 0
if renewed == 1 then
  life = tonumber(life_ms)
  redis.call('HSET', record, 'exp', now + life, 'att', 0)
  redis.call('HINCRBY', record, 'gen', 1)
  open_until(record, list, act, cid, now + life, life, keep_ms)
end
sent = sent + 1
local pause = tonumber(ARGV[8 + math.min(sent, #ARGV - 8)])
tickets = joined(record, 'tickets', tickets) .. '|' .. ticket
redis.call('HSET', record, 'sends', sent, 'next', now + pause, in_parts('tickets', tickets))
note_send(sends, cool, cid, sent, pause, now)
return {1, renewed, life, pause, most - sent}
