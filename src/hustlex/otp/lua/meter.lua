-- Counts of one scope (an address, a prefix, a block, a country), in one hash. A count is a ring of buckets: field
-- <kind><number of the bucket> -> units. A window has PARTS buckets and the current one; the oldest counts whole, so
-- there are never more units than allowed in any window.
--   c units of the cap   s messages sent, v of them verified   y right and x wrong codes   n<ref> a number's last ms
--   k messages that counted for a wider scope too
local PARTS, HOUR, DAY = 20, 3600000, 86400000

local function width(window) return math.ceil(window / PARTS) end
local function bucket(now, window) return math.floor(now / width(window)) end

local function numbered(name) return string.sub(name, 1, 1) == 'n' and name ~= 'next' end

local function read_meter(key)
  local fields, flat = {}, redis.call('HGETALL', key)
  for n = 1, #flat, 2 do fields[flat[n]] = tonumber(flat[n + 1]) end
  return fields
end

-- young: how many of the newest buckets are left out.
local function total(fields, kind, newest, young)
  local sum = 0
  for number = newest - PARTS, newest - young do sum = sum + (fields[kind .. number] or 0) end
  return sum
end

local function count(key, kind, now, window, units)
  redis.call('HINCRBY', key, kind .. bucket(now, window), units)
end

-- Takes units back from the bucket they went into, while that still counts; never more than there are.
local function uncount(key, kind, number, now, window, units)
  if number < bucket(now, window) - PARTS then return end
  local there = tonumber(redis.call('HGET', key, kind .. number) or 0)
  if there > 0 then redis.call('HINCRBY', key, kind .. number, -math.min(units, there)) end
end

-- Units of the future: the server's clock was set back. They count as taken now. windows: kind -> length.
local function settle(key, fields, now, windows)
  local moved = {}
  for name, value in pairs(fields) do
    local kind, number = string.match(name, '^([csvyxk])(%d+)$')
    local here = kind and bucket(now, windows[kind])
    if kind and tonumber(number) > here then
      moved[kind .. here] = (moved[kind .. here] or 0) + value
      redis.call('HDEL', key, name)
    end
    if numbered(name) and value > now then fields[name] = now; redis.call('HSET', key, name, now) end
  end
  for name, units in pairs(moved) do fields[name] = redis.call('HINCRBY', key, name, units) end
end

-- Removes what no window reaches any more.
local function sweep(key, fields, now, windows)
  for name, value in pairs(fields) do
    local kind, number = string.match(name, '^([csvyxk])(%d+)$')
    if kind and tonumber(number) < bucket(now, windows[kind]) - PARTS then redis.call('HDEL', key, name) end
    if numbered(name) and value <= now - windows.c then redis.call('HDEL', key, name) end
  end
end
