-- tokens.prove: take a proof of possession once, and only while it is fresh (RFC 9449, 4.3 and 11.1).
-- EFFECT once                a repeat is a replay
-- KEYS proof       string    dpop:{<jkt>}:<hash of its jti and URL>
-- ARGV now_ms      int       0: the server's clock
-- ARGV made_ms     int       when the client says it made it
-- ARGV past_ms     int       how old it may be
-- ARGV future_ms   int       how far the client's clock may be ahead
-- REPLY {0}                  taken
-- REPLY {1}                  it was taken before
-- REPLY {2}                  not made just now
-- @include clock
local age = clock(now_ms) - made_ms
if age > tonumber(past_ms) or age < -tonumber(future_ms) then return {2} end
-- Kept until it is too old by itself.
if redis.call('SET', proof, 1, 'NX', 'PX', past_ms - age + 1) then return {0} end
return {1}
