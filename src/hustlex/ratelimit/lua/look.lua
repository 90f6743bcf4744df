-- ratelimit.look: bans and limits set by hand of one caller, for an operator; writes nothing.
-- EFFECT read
-- KEYS keys...   mixed   as in ratelimit.check, but only penalties (hash) and overrides (string)
-- ARGV now_ms    int     0: the server's clock
-- ARGV kinds...  text    p or n, for each key
-- REPLY {rows}           per key: of a penalty {strikes, level, rest}, ms; of an override {limit, left}, ms; {} for none
-- @include clock
-- @include penalty
local now, rows = clock(now_ms), {}
for at, key in ipairs(KEYS) do
  local row, kind = {}, redis.call('TYPE', key).ok
  if ARGV[at + 1] == 'p' and kind == 'hash' then
    local had = redis.call('HMGET', key, 'strikes', 'level')
    row = {tonumber(had[1] or 0), tonumber(had[2] or 0), math.ceil(penalty.rest(key, now))}
  elseif ARGV[at + 1] == 'n' and kind == 'string' then
    row = {tonumber(redis.call('GET', key)) or 0, redis.call('PTTL', key)}
  end
  rows[at] = row
end
return {rows}
