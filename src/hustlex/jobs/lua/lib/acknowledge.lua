-- @include fields
-- Delete the tasks in rows (id, holder, lock), from row `first` on, that their holder still has, and free their locks.
-- Of those that are awaited a note of five minutes stays, of all others their id for half a minute, while it is among the
-- last 1000 of the queue. Answers a letter per row, 1 done, 0 not held, and how many were done.
local function acknowledge(active, lease, tasks, rows, first)
  local codes, ids, keys = {}, {}, {}
  local watched = redis.call('EXISTS', string.sub(tasks, 1, -3) .. 'x:awaited') == 1
  for i = first, #rows, 3 do
    local id, lock = rows[i], rows[i + 2]
    local held = field(tasks .. id, 'owner') == rows[i + 1] and redis.call('LREM', active, -1, id) > 0
    codes[#codes + 1] = held and '1' or '0'
    if held then
      ids[#ids + 1], keys[#keys + 1] = id, tasks .. id
      if watched and field(tasks .. id, 'awaited') then leave_end(tasks, id, '+', 300) end
      if lock ~= '' and redis.pcall('GET', lock) == id then keys[#keys + 1] = lock end
    end
  end
  if #ids > 0 then
    redis.call('ZREM', lease, unpack(ids))
    redis.call('DEL', unpack(keys))
    local ended = string.sub(tasks, 1, -3) .. 'x:ended'
    if type(redis.pcall('LPUSH', ended, unpack(ids))) == 'number' then
      redis.call('LTRIM', ended, 0, 999)
      redis.call('EXPIRE', ended, 30)
    end
  end
  return table.concat(codes), #ids
end
