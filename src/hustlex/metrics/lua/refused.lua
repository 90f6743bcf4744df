-- metrics.refused: the callers that some policies refused most in the last 24 hours.
-- EFFECT read
-- KEYS names       hash   <prefix>x:{rooms}:names
-- TOUCHES <prefix>x:{rooms}:refused:<hour>:<policy>
-- ARGV now_ms      int    0: the server's clock
-- ARGV most        int    callers of each policy
-- ARGV policies... text   names
-- REPLY {1, callers}      of each policy {caller, times} of each, the most first
-- @include clock
local hour = math.floor(clock(now_ms) / 3600000)
local start = string.sub(names, 1, -#'names' - 1) .. 'refused:'
local found = {}
for n = 3, #ARGV do
  local asked = {25}
  for back = 0, 24 do asked[#asked + 1] = start .. string.format('%.0f', hour - back) .. ':' .. ARGV[n] end
  asked[#asked + 1] = 'WITHSCORES'
  local all = redis.call('ZUNION', unpack(asked))
  local callers = {}
  for at = #all - 1, math.max(1, #all - 2 * tonumber(most) + 1), -2 do
    callers[#callers + 1] = {all[at], all[at + 1]}
  end
  found[#found + 1] = callers
end
return {1, found}
