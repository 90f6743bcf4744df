-- The time in nanoseconds, as Asynq writes it: the injected one (tests), or the server's own.
local function since(injected_ms)
  if injected_ms ~= '0' then return injected_ms .. '000000' end
  local t = redis.call('TIME')
  return t[1] .. string.sub('00000' .. t[2], -6) .. '000'
end
