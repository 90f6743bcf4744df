-- otp.verify: check a code's MAC and count the attempt, or spend the code and write its grant; in one step.
-- EFFECT once
-- ALLOW-OOM it spends codes and locks phones, which must work on a full server
-- KEYS record     any     otp:{<ref>}:<purpose>:<cid>; bound to the subject: otp:{<ref>}:<purpose>, or otp:{<ref>}; a hash
-- KEYS list       any     otp:{<ref>}:sends, other lanes: with :<lane>   a zset, where it is listed, see listed.lua
-- KEYS act        any     otp:{<ref>}:act:<purpose>, other lanes: with :<lane>; a zset: the older list; names its place
-- KEYS fail       zset    otp:{<ref>}:fail:<lane>     <cid>#<generation>.<attempt> -> ms
-- KEYS lock       any     otp:{<ref>}:lock:<lane>     a hash: until (ms), level
-- KEYS grant      string  otp:{<ref>}:grant:<gid>
-- KEYS devices    zset    otp:{<ref>}:dev             mark of a device token -> its end in ms
-- ARGV now_ms     int     0: the server's clock
-- ARGV cid        text    the challenge; empty: the one the subject has
-- ARGV traits     text    as the challenge says; * with the subject's own
-- ARGV mac        bytes   of the code as typed, 16
-- ARGV ctx        hex     digest of what is approved, or empty
-- ARGV nonce      hex     mark of the caller's nonce, or empty
-- ARGV purpose    text    goes into the grant
-- ARGV grant_ms   int     life of the grant
-- ARGV device     text    mark of a token to remember the device by, or empty
-- ARGV device_ms  int     for how long
-- ARGV most_devices int   the phone's devices that are remembered
-- ARGV most_wrong int     wrong codes of the lane in 24 hours until it is locked
-- ARGV locks_ms... int    length of the 1st, 2nd, ... lock; the last repeats
-- REPLY {0}               unknown or void
-- REPLY {1, replayed, now, tickets}  right, and spent; 1: by an earlier call with this nonce; what caps it gives back
-- REPLY {2}               already used
-- REPLY {3}               expired
-- REPLY {4, left, changed, country}  wrong; attempts left; 1: the context differs
-- REPLY {5, country}      the challenge is locked; the country when it was by this code, else empty
-- REPLY {6, rest, country}  the lane is locked, ms; the country when it was by this code, else empty
-- @include clock
-- @include lock
-- @include attempts
local now = clock(now_ms)  -- what is read first needs no TYPE before it (any): four of them are a tenth of a right code
local st, id, tr, gen, ends, macs, approved = unpack(redis.call('HMGET', record, 'st', 'cid', 'tr', 'gen', 'exp', 'macs', 'ctx'))
local rest = lock_rest(lock, now)
if rest > 0 then return {6, rest, ''} end
id, approved = id or cid, approved or ''
if not st or (traits ~= '*' and (cid ~= id or (tr or '') ~= traits)) then return {0} end
if st == 'used' then
  local used, mark = unpack(redis.call('HMGET', record, 'used_at', 'n'))
  return nonce ~= '' and nonce == mark and now - used < 60000 and {1, 1, now, ''} or {2}
end
if tonumber(ends) <= now then forget(record) return {3} end
if st == 'locked' then return {5, ''} end
if ctx == approved and mac == mac_of(record, macs, gen) then
  if unlist(list, act, id) == 0 then return {0} end
  local to, uid, tickets = spend(record, fail, id, gen, now, nonce)
  write_grant(grant, purpose, ctx, to, uid, now, grant_ms)
  if device ~= '' then remember(devices, device, now + device_ms, device_ms, most_devices) end
  return {1, 0, now, tickets}
end
if not is_listed(list, act, id) then return {0} end
local max, cc = unpack(redis.call('HMGET', record, 'max', 'cc'))
local left = max - redis.call('HINCRBY', record, 'att', 1)
if left <= 0 then close(record, list, act, id, 'locked') end
if count_wrong(fail, id .. '#' .. gen .. string.format('.%.0f', max - left), now) >= tonumber(most_wrong) then
  return {6, raise_lock(lock, now, ARGV, 12), cc or ''}
end
return left <= 0 and {5, cc or ''} or {4, left, ctx == approved and 0 or 1, cc or ''}
