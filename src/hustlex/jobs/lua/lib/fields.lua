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

-- All of them by name. What is there, three as a rule, is read for less than ten names; a table that grows costs more.
local function record(key)
  local flat, all = redis.pcall('HGETALL', key), {msg = false, state = false, pending_since = false}
  for n = 1, #flat, 2 do all[flat[n]] = flat[n + 1] end
  return all
end

local function is_hash(key) return redis.call('TYPE', key).ok == 'hash' end

local function free(lock, id)
  if lock and lock ~= '' and redis.pcall('GET', lock) == id then redis.call('DEL', lock) end
end
