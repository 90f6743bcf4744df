-- What is known of a queue: its index, since when it has it, when it was looked at, and what stood there: attempts that
-- ended, that failed, tasks unfinished. The entry "" is of all queues together, with the index 0.
local function entry_of(queues, name)
  local found = redis.call('HGET', queues, name)
  return found and cmsgpack.unpack(found)
end

local function keep_entry(queues, name, entry) redis.call('HSET', queues, name, cmsgpack.pack(entry)) end

-- A free index, or that of a queue that nobody has looked at for a day, whose unfinished tasks are answered, too; nil:
-- there is none. most: queues that have one.
local function free_index(queues, most, now)
  local count = redis.call('HLEN', queues)
  if count <= most then return count, 0 end
  local found = redis.call('HGETALL', queues)
  for n = 1, #found, 2 do
    local entry = cmsgpack.unpack(found[n + 1])
    if found[n] ~= '' and entry[3] < now - 86400000 then
      redis.call('HDEL', queues, found[n])
      return entry[1], entry[6]
    end
  end
end
