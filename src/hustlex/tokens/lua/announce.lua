-- tokens.announce: tell every process what was revoked.
-- EFFECT idempotent          a notice told twice says nothing new
-- ALLOW-OOM takes rights away
-- KEYS feed        stream    jwt:revocations
-- ARGV now_ms      int       0: the server's clock
-- ARGV keep_ms     int       the longest that an access token lives
-- ARGV notices...  text      for each: kind, name, kept, line_ms, until_ms (0: keep_ms from now)
-- REPLY {0, told}            how many
-- @include clock
local now = clock(now_ms)
local oldest = string.format('%.0f', clock(0) - keep_ms)  -- entries are named by the server's own clock
for n = 3, #ARGV, 5 do
  local until_ms = tonumber(ARGV[n + 4])
  if until_ms == 0 then until_ms = now + keep_ms end
  redis.call('XADD', feed, 'MINID', '~', oldest, '*', 'kind', ARGV[n], 'name', ARGV[n + 1], 'kept', ARGV[n + 2],
    'line', ARGV[n + 3], 'until', string.format('%.0f', until_ms))
end
redis.call('PEXPIRE', feed, keep_ms + 60000)
return {0, (#ARGV - 2) / 5}
