-- idempotency.look_several: those of some claims that are not done, for an operator. All lie on the server that is asked.
-- EFFECT read
-- TOUCHES idem:{<uref>}:<route>:<key>
-- ARGV now_ms     int    0: the server's clock
-- ARGV records... text   as in idempotency.begin
-- REPLY {1, rows}        per claim: its number among these, rest of the lease (ms, below 0: it is over, none: it has no
--                        lease), fence, point, ms since it was claimed, ms until it is forgotten
-- @include clock
local now, rows = clock(now_ms), {}
for n = 2, #ARGV do
  local found = redis.pcall('HMGET', ARGV[n], 'st', 'lease', 'len', 'fence', 'point', 'cre')
  local st, lease, len, fence, point, cre = unpack(found.err and {} or found)
  if st and st ~= 'done' then
    local rest = lease and math.min(lease - now, tonumber(len or lease - now)) or 0
    rows[#rows + 1] = {n - 2, rest, tonumber(fence) or 0, point or '', now - (tonumber(cre) or now),
      redis.pcall('PTTL', ARGV[n])}
  end
end
return {1, rows}
