-- What befell a task before, read from its fields past_fields, which HMGET put into found from at on; nil = nothing:
-- {id, crashes, parked_at, canceled, expires_at}. canceled: 1 or 0; expires_at: Unix ms, 0 = never.
local past_fields = {'crashes', 'parked_at', 'canceled', 'expires_at'}
local function past_of(id, found, at)
  local crashes, parked_at, canceled, expires_at = unpack(found, at, at + 3)
  if not (crashes or parked_at or canceled or expires_at) then return nil end
  return {id, tonumber(crashes) or 0, tonumber(parked_at) or 0, canceled and 1 or 0, tonumber(expires_at) or 0}
end
