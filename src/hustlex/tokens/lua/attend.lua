-- tokens.attend: which life the feed of revocations is in, and how far it was told. Begins one where it was lost.
-- EFFECT idempotent
-- ALLOW-OOM                  a reader that cannot ask makes every bounded check strict
-- KEYS epoch       hash      jwt:epoch:{<feed>}
-- ARGV now_ms      int       0: the server's clock
-- ARGV keep_ms     int       the longest that an access token lives
-- ARGV look        int       1: a server that was started anew, or another one, begins a new life
-- REPLY {0, seconds, micros, id, since_ms, told, at_ms}   the server's time; see life.lua
-- @include clock
-- @include life
local now = clock(now_ms)
local f = live(epoch, now, keep_ms)
if look == '1' then
  -- It may have come back from an older state, in which what was told since is missing.
  local info = redis.pcall('INFO', 'server')
  local run = type(info) == 'string' and info:match('run_id:(%x+)') or f[5] or ''
  if f[5] and f[5] ~= run then
    redis.call('DEL', epoch)
    f = live(epoch, now, keep_ms)
  end
  redis.call('HSET', epoch, 'run', run)
end
local t = redis.call('TIME')
return {0, tonumber(t[1]), tonumber(t[2]), f[1], tonumber(f[2]), tonumber(f[3]), tonumber(f[4])}
