-- tokens.announce: tell every process what was revoked.
-- EFFECT idempotent          a notice told twice says nothing new
-- ALLOW-OOM takes rights away
-- KEYS feed        stream    jwt:revocations, whole as the others' tag {<feed>}
-- KEYS epoch       hash      jwt:epoch:{<feed>}
-- KEYS told        zset      jwt:told:{<feed>}, what the feed says, by when it stops to matter
-- ARGV now_ms      int       0: the server's clock
-- ARGV keep_ms     int       the longest that an access token lives
-- ARGV notices...  text      for each: kind, name, user, kept, line_ms, until_ms (0: keep_ms from now)
-- REPLY {0, told}            how many; one that the feed says already is not told again
-- @include clock
-- @include life
local now = clock(now_ms)
local life, _, n, at = unpack(live(epoch, now, keep_ms))
local oldest = string.format('%.0f', clock(0) - keep_ms)  -- entries are named by the server's own clock
local moment, count = string.format('%.0f', now), 0
redis.call('ZREMRANGEBYSCORE', told, '-inf', now)
for a = 3, #ARGV, 6 do
  local kind, name, user, kept, line, until_ms = unpack(ARGV, a, a + 5)
  local said = table.concat({kind, name, kept, line}, ' ')
  if until_ms == '0' then until_ms = string.format('%.0f', now + keep_ms) end
  if kind == 'key' or not redis.call('ZSCORE', told, said) then
    n, count = string.format('%.0f', n + 1), count + 1
    redis.call('XADD', feed, 'MINID', '~', oldest, '*', 'kind', kind, 'name', name, 'user', user, 'kept', kept,
      'line', line, 'until', until_ms, 'life', life, 'n', n, 'prev', at)
    redis.call('HSET', epoch, 'n', n, 'at', moment)
    redis.call('ZADD', told, until_ms, said)
    at = moment
  end
end
redis.call('PEXPIRE', feed, keep_ms + 60000)
redis.call('PEXPIRE', told, keep_ms + 60000)
return {0, count}
