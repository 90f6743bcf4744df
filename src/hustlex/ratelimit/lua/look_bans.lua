-- ratelimit.look_bans: which of some callers are banned now, for an operator. All lie on the server that is asked; writes
--   nothing.
-- EFFECT read
-- TOUCHES ratelimit:{<id>}:<endpoint>:pen
-- ARGV now_ms   int    0: the server's clock
-- ARGV keys...  text   penalties, as in ratelimit.check
-- REPLY {rows}         per banned one: its number among these, bans in a row, ms until it ends
-- @include clock
-- @include penalty
local now, rows = clock(now_ms), {}
for n = 2, #ARGV do
  local level = redis.pcall('HGET', ARGV[n], 'level')
  local rest = type(level) == 'table' and 0 or math.ceil(penalty.rest(ARGV[n], now))
  if rest > 0 then rows[#rows + 1] = {n - 2, tonumber(level or 0), rest} end
end
return {rows}
