-- idempotency.look_several: how some claims stand, for an operator. All lie on the server that is asked.
-- EFFECT read
-- TOUCHES idem:{<uref>}:<route>:<key>; webhook:{<provider>}:<event>
-- ARGV now_ms     int    0: the server's clock
-- ARGV every      int    0: only those that are not done
-- ARGV records... text   as in idempotency.begin
-- REPLY {1, rows}        per claim: its number among these, 1: it is done, 2: an operator gave it back, rest of the lease (ms,
--                        below 0: it is over, none: it has no lease), fence, point, status of the answer, ms since it was
--                        claimed, ms until it is forgotten
-- @include clock
local now, rows = clock(now_ms), {}
for n = 3, #ARGV do
  local found = redis.pcall('HMGET', ARGV[n], 'st', 'lease', 'len', 'fence', 'point', 'code', 'cre', 'free')
  local st, lease, len, fence, point, code, cre, free = unpack(found.err and {} or found)
  if st and (st ~= 'done' or every == '1') then
    local rest = lease and math.min(lease - now, tonumber(len or lease - now)) or 0
    rows[#rows + 1] = {n - 3, st == 'done' and 1 or free and free == lease and 2 or 0, rest, tonumber(fence) or 0,
      point or '', tonumber(code) or 0, now - (tonumber(cre) or now), redis.pcall('PTTL', ARGV[n])}
  end
end
return {1, rows}
