-- The time as the server says it, two words that go into the reply unread, and in milliseconds.
local seconds, micros
if given_ms == '0' then
  local t = redis.call('TIME')
  seconds, micros = t[1], t[2]
else
  seconds, micros = math.floor(given_ms / 1000), given_ms % 1000 * 1000
end
local now = seconds * 1000 + math.floor(micros / 1000)
