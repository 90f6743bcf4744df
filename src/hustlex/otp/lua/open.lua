-- otp.open: what a delivery needs of an open challenge, if it is worth sending; one of several claimants gets it.
-- EFFECT idempotent  (a claimant that asks again has its claim already)
-- KEYS record   hash    otp:{<ref>}:<purpose>:<cid>; bound to the subject: otp:{<ref>}:<purpose>, or otp:{<ref>}
-- KEYS list     zset    otp:{<ref>}:sends, other lanes: with :<lane>   where it is listed, see listed.lua
-- KEYS act      zset    otp:{<ref>}:act:<purpose>, other lanes: with :<lane>; names its place there; the older list
-- ARGV now_ms   int     0: the server's clock
-- ARGV cid      text    the challenge
-- ARGV least_ms int     with less life left, a message would come too late
-- ARGV claim    text    who wants to send it, or empty: only look
-- REPLY {0}             unknown or void
-- REPLY {1, seed, gen, sealed, rest, sends, strong}   rest: life in ms; sends: number of this send; 1: a longer code
-- REPLY {2}             already used
-- REPLY {3}             expired, or about to be
-- REPLY {4}             claimed by another
-- @include clock
-- @include parts
-- @include listed
local now = clock(now_ms)
local st, id, seed, gen, sealed, ends, sends, tr, sent =
  unpack(redis.call('HMGET', record, 'st', 'cid', 'seed', 'gen', 'to', 'exp', 'sends', 'tr', 'sent'))
if not st or (id or cid) ~= cid then return {0} end
if st == 'used' then return {2} end
if ends - now < tonumber(least_ms) then return {3} end
if st ~= 'active' or not is_listed(list, act, cid) then return {0} end
sent = sent or ''
if claim ~= '' then
  local about = gen .. ':' .. sends .. ':'
  local taken = string.sub(sent, 1, #about) == about
  if taken and sent ~= about .. claim then return {4} end
  if not taken then redis.call('HSET', record, 'sent', about .. claim) end
end
return {1, seed, tonumber(gen), joined(record, 'to', sealed), ends - now, tonumber(sends), string.find(tr or '', 's') and 1 or 0}
