-- The time in milliseconds: the injected one (tests), or the server's own.
local function clock(injected_ms)
  local given = tonumber(injected_ms)
  if given and given > 0 then return given end
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
