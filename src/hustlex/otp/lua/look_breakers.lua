-- otp.look_breakers: which of some scopes are slowed down by their breaker, for an operator. All lie on the server that is
--   asked; writes nothing.
-- EFFECT read
-- TOUCHES otp:{<scope>:<ref>}:cap
-- ARGV now_ms     int    0: the server's clock
-- ARGV meters...  text   keys, as in otp.reserve
-- REPLY {rows}           per scope that is: its number among these, messages of an hour, codes verified of them, when it
--                        began (ms, 0: not known), ms until a message passes, messages that passed since, verified ones
-- @include clock
-- @include meter
local now, rows = clock(now_ms), {}
for n = 2, #ARGV do
  local due = redis.pcall('HGET', ARGV[n], 'next')
  if type(due) == 'string' then
    local fields, hour = read_meter(ARGV[n]), bucket(now, HOUR)
    local sent = total(fields, 's', hour, 0)
    if sent > 0 then  -- without a message of this hour, the next one ends it
      rows[#rows + 1] = {n - 2, sent, total(fields, 'v', hour, 0), fields.since or 0, math.max(0, fields.next - now),
        fields.probes or 0, fields.wins or 0}
    end
  end
end
return {rows}
