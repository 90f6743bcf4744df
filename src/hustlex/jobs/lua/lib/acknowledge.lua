-- @include fields
-- Delete the tasks in rows (id, holder, lock), from row `first` on, that their holder still has, and free their locks.
-- Of those that are awaited a note of five minutes stays, of all others their id for half a minute, while it is among the
-- last 1000 of the queue. Answers a letter per row, 1 done, 0 not held, and how many were done.
local function acknowledge(active, lease, tasks, rows, first)
  local row_of, codes, ids, keys, n = {}, {}, {}, {}, 0
  for i = first, #rows, 3 do
    local id = rows[i]
    codes[(i - first) / 3 + 1] = '0'
    if field(tasks .. id, 'owner') == rows[i + 1] and not row_of[id] then row_of[id], n = i, n + 1 end
  end
  if n == 0 then return table.concat(codes), 0 end
  -- Those that end are mostly the oldest: one step takes as many out, and one puts back what was not meant.
  local taken, others, oldest = {}, {}, redis.call('RPOP', active, n) or {}
  for j = #oldest, 1, -1 do
    local id = oldest[j]
    if row_of[id] and not taken[id] then taken[id] = true else others[#others + 1] = id end
  end
  if #others > 0 then redis.call('RPUSH', active, unpack(others)) end
  local watched = redis.call('EXISTS', string.sub(tasks, 1, -3) .. 'x:awaited') == 1
  for i = first, #rows, 3 do
    local id, lock = rows[i], rows[i + 2]
    if row_of[id] == i and (taken[id] or redis.call('LREM', active, -1, id) > 0) then
      codes[(i - first) / 3 + 1], ids[#ids + 1], keys[#keys + 1] = '1', id, tasks .. id
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
