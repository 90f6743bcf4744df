-- metrics.record: add what a process counted since its last report to the present minute and hour of each series.
-- EFFECT once
-- KEYS names    hash   <prefix>x:{rooms}:names: a series -> its index, since when it has it and when it was told last
-- TOUCHES <prefix>x:{rooms}:m:<hour>  <prefix>x:{rooms}:h:<day>  <prefix>x:{rooms}:refused:<hour>:<policy>
-- ARGV now_ms   int    0: the server's clock
-- ARGV most     int    series that are kept
-- ARGV callers  int    so many that were refused come first
-- ARGV rows...  text   of each of these its policy, itself and how often; then series, each with how often
-- REPLY {1}
-- @include clock
-- @include cells
local now = clock(now_ms)
local prefix = string.sub(names, 1, -#'names' - 1)
local where = places(prefix, now)

-- A free index, or that of a series whose cells have all gone by now; nil: there is none.
local function free_index()
  local count = redis.call('HLEN', names)
  if count < tonumber(most) then return count end
  local found = redis.call('HGETALL', names)
  for n = 1, #found, 2 do
    local index, _, told = entry_of(found[n + 1])
    if told < now - 2764800000 then
      redis.call('HDEL', names, found[n])
      return index
    end
  end
end

local function index_of(series)
  local known = redis.call('HGET', names, series)
  local index, since
  if known then index, since = entry_of(known) else index, since = free_index(), now end
  if index then redis.call('HSET', names, series, table.concat({whole(index), whole(since), whole(now)}, ' ')) end
  return index
end

local first = 4 + 3 * tonumber(callers)
for n = 4, first - 3, 3 do
  local key = prefix .. 'refused:' .. whole(math.floor(now / 3600000)) .. ':' .. ARGV[n]
  redis.call('ZINCRBY', key, ARGV[n + 2], ARGV[n + 1])
  redis.call('ZREMRANGEBYRANK', key, 0, -201)
  redis.call('EXPIRE', key, 90000)
end
for n = first, #ARGV, 2 do
  local index = index_of(ARGV[n])
  for _, place in ipairs(index and where or {}) do
    local cell = '#' .. whole(index * place[2] + place[3])
    redis.call('BITFIELD', place[1], 'OVERFLOW', 'SAT', 'INCRBY', 'u32', cell, ARGV[n + 1])
  end
end
redis.call('EXPIRE', names, 2764800)
redis.call('EXPIRE', where[1][1], 90000)
redis.call('EXPIRE', where[2][1], 2764800)
return {1}
