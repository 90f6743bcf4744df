-- tokens.check: may this access token, whose signature is good, be used now; notes that its session is alive.
-- EFFECT idempotent
-- KEYS record      hash      session:{<uref>}:<sid>
-- KEYS index       zset      sessions:{<uref>}
-- KEYS marker      string    jwt:revoked_before:{<uref>}
-- KEYS data        hash      session:{<uref>}:<sid>:d
-- KEYS blacklist   string    jwt:blacklist:{<uref>}.<random>, a jti
-- ARGV now_ms      int       0: the server's clock
-- ARGV sid         text
-- ARGV ims         int       when the token was issued, ms
-- ARGV from_ms     int       first moment it is good, leeway included
-- ARGV until_ms    int       first moment it is not, leeway included
-- ARGV touch_ms    int       note activity at most this often
-- ARGV keep_ms     int       how long a record outlives its session
-- REPLY {0}                  yes
-- REPLY {1}                  expired
-- REPLY {2}                  not yet valid
-- REPLY {3}                  logged out: the token is on the blacklist
-- REPLY {4, why}             the session is over: gone, revoke_all, absolute, idle, or its recorded reason
-- @include clock
-- @include standing
-- @include extend
local now = clock(now_ms)
if tonumber(until_ms) <= now then return {1} end
if tonumber(from_ms) > now then return {2} end
if redis.call('EXISTS', blacklist) == 1 then return {3} end
local why, _, session = standing(record, index, marker, sid, now, ims)
if why ~= '' then return {4, why} end

local unseen = now - session[5]
if unseen >= tonumber(touch_ms) or unseen < 0 then
  -- Lifetimes first: on a full server this lets the write after it pass, and a check must not fail there.
  extend(record, data, session[4], session[6], now, keep_ms)
  redis.call('HSET', record, 'last', now)
end
return {0}
