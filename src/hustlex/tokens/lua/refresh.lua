-- tokens.refresh: swap a refresh token for its one successor; a really old one ends the session.
-- EFFECT idempotent            a repeat within the grace finds the same successor
-- KEYS record        hash      session:{<uref>}:<sid>
-- KEYS index         zset      sessions:{<uref>}
-- KEYS marker        string    jwt:revoked_before:{<uref>}
-- KEYS data          hash      session:{<uref>}:<sid>:d
-- ARGV now_ms        int       0: the server's clock
-- ARGV sid           text
-- ARGV client        text
-- ARGV jkt           text      the key that was proved, or empty
-- ARGV network       text      where from, or empty
-- ARGV device        text      the label of the device that asks, or empty
-- ARGV gen           int       generation of the token shown
-- ARGV shown         bytes     SHA-256 of its secret
-- ARGV successor     bytes     SHA-256 of the next secret, under this salt
-- ARGV salt          bytes
-- ARGV version       text      of the key that derives the one after
-- ARGV grace_ms      int       the predecessor stays good this long
-- ARGV coalesce_ms   int       no second rotation within this time; longer than the grace
-- ARGV most_replays  int       answers to one predecessor
-- ARGV keep_ms       int       how long a record outlives its session
-- REPLY {0, issued_ms, gen, version, salt, hash, user, auth_ms, amr, ends_ms, acr, scope, jkt}   rotated
-- REPLY {1, ...}               the same, replayed: an answer given before
-- REPLY {2, ...}               the same, coalesced: the token shown stays current
-- REPLY {5, device, network, ...}   as 1, the first time that another network or device than the last asks
-- REPLY {3, why}               the session is over
-- REPLY {4, why, user, device, network, behind}   not who it was issued to (client, binding), or reuse: it ends now
-- REPLY {6}                    a generation that this server never saw
-- @include clock
-- @include standing
-- @include bury
-- @include extend
-- @include spent
local now = clock(now_ms)
local why, line, session = standing(record, index, marker, sid, now)
if why == 'absolute' or why == 'idle' then bury(record, index, data, sid, 'x', why, keep_ms) end
if why ~= '' then return {3, why} end
local f = redis.call('HMGET', record, 'cid', 'gen', 'cur', 'prev', 'rot', 'reuse', 'jkt', 'ip1', 'uid', 'dn')
local age, behind = spent_ago(record, f[5], now), f[2] - gen
local wrong = f[1] ~= client and 'client' or f[7] and f[7] ~= jkt and 'binding'

local function answer()
  return math.max(now, line + 1), unpack(redis.call('HMGET', record, 'gen', 'kv', 'slt', 'cur', 'uid', 'auth', 'amr',
    'abs', 'acr', 'scp', 'jkt'))
end
if not wrong and behind == 0 and shown == f[3] then
  if age < tonumber(coalesce_ms) then return {2, answer()} end
  redis.call('HSET', record, 'prev', shown, 'cur', successor, 'slt', salt, 'kv', version, 'gen', gen + 1,
    'rot', now, 'last', now, 'reuse', 0, 'ip1', network ~= '' and network or f[8] or '')
  extend(record, data, session[4], session[6], now, keep_ms)
  return {0, answer()}
end
if not wrong and behind == 1 and shown == f[4] and age <= tonumber(grace_ms) and tonumber(f[6]) < tonumber(most_replays) then
  redis.call('HINCRBY', record, 'reuse', 1)
  if elsewhere(record, f[2], network, f[8], device, f[10]) then return {5, f[10], f[8], answer()} end
  return {1, answer()}
end
if not wrong and behind < 0 then return {6} end
bury(record, index, data, sid, 'r', wrong or 'reuse', keep_ms)
return {4, wrong or 'reuse', f[9], f[10], f[8], behind}
