-- Reads of keys that may hold another type than ours: as if they were not there. A script that has begun to take things
-- must not end before it has put them down.
local function field(key, name)
  local found = redis.pcall('HGET', key, name)
  return type(found) ~= 'table' and found
end

local function fields(key, ...)
  local found = redis.pcall('HMGET', key, ...)
  return found.err and {} or found
end

local function is_hash(key) return redis.call('TYPE', key).ok == 'hash' end

local function free(lock, id)
  if lock and lock ~= '' and redis.pcall('GET', lock) == id then redis.call('DEL', lock) end
end
