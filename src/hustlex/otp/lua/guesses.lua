-- Wrong codes of a country; above a share of all, its codes get longer. 1: from now on.
local function count_guesses(key, now, window, wrong, least, percent, quiet)
  count(key, 'x', now, window, wrong)
  local fields, newest = read_meter(key), bucket(now, window)
  local missed = total(fields, 'x', newest, 0)
  local all = missed + total(fields, 'y', newest, 0)
  if all < least or missed * 100 <= percent * all then return 0 end
  redis.call('HSET', key, 'guess', now + quiet)
  return (fields.guess or 0) <= now and 1 or 0
end
