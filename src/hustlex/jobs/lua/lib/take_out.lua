-- Remove up to n ids from a list's tail or a sorted set's front; answers them and how many are left.
-- An emptied group is taken off the list of groups.
local function take_out(source, kind, n, groups, group)
  local ids, left
  if kind == 'list' then
    ids = redis.call('RPOP', source, n) or {}
    left = redis.call('LLEN', source)
  else
    ids = redis.call('ZRANGE', source, 0, n - 1)
    if #ids > 0 then redis.call('ZREM', source, unpack(ids)) end
    left = redis.call('ZCARD', source)
  end
  if left == 0 and group ~= '' then redis.call('SREM', groups, group) end
  return ids, left
end
