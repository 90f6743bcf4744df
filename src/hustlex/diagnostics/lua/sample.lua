-- diagnostics.sample: look at some keys of this server, chosen by chance: how large they are, how often they are used.
-- EFFECT read
-- ARGV count     int  keys to look at; where there are no more, each is looked at once
-- ARGV counting  int  1: the server counts how often a key is used, by an LFU policy
-- REPLY {1, keys, whole, rows...}  keys of this database; whole: 1 where each was looked at; a row for each: the first
--                     256 bytes of its name, MEMORY USAGE (-1: the user may not ask), OBJECT FREQ (-1: not counted)
local number, keys = tonumber(count), redis.call('DBSIZE')
local reply, measured = {1, keys, 0}, true

local function look(key)
  local size, uses = -1, -1
  if measured then size = redis.pcall('MEMORY', 'USAGE', key) end
  if type(size) == 'table' then measured, size = false, -1 end
  if not size then return end  -- it has expired just now
  if counting == '1' then uses = redis.pcall('OBJECT', 'FREQ', key) end
  reply[#reply + 1] = {string.sub(key, 1, 256), size, type(uses) == 'number' and uses or -1}
end

if keys > number then
  for _ = 1, number do
    local key = redis.call('RANDOMKEY')
    if key then look(key) end
  end
  return reply
end
local cursor, steps = '0', 0
repeat
  local page = redis.call('SCAN', cursor, 'COUNT', number)
  cursor, steps = page[1], steps + 1
  for _, key in ipairs(page[2]) do look(key) end
until cursor == '0' or steps == 20
if cursor == '0' then reply[3] = 1 end
return reply
