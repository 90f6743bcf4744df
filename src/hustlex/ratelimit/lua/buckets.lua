-- A strict policy's hash: absolute bucket number -> units taken in it; s, k, o: sum of the live ones as of bucket k, and
-- how many buckets before it the oldest lies. So a call in a bucket that was seen before reads four fields, not all.

-- Live counts by bucket, their sum, the oldest, and the fields to drop. Buckets of the future (the server's clock was
-- set back) count as this one.
local function live(key, bucket, span)
  local fields, counts, dead, used, oldest = redis.call('HGETALL', key), {}, {}, 0, bucket
  for at = 1, #fields, 2 do
    local index, count = tonumber(fields[at]), tonumber(fields[at + 1])
    if index then
      if index < bucket - span or count <= 0 or index > bucket then dead[#dead + 1] = fields[at] end
      if index >= bucket - span and count > 0 then
        index = math.min(index, bucket)
        counts[index], used, oldest = (counts[index] or 0) + count, used + count, math.min(oldest, index)
      end
    end
  end
  return counts, used, oldest, dead, #fields > 0
end

-- The sum for a bucket in which nobody was yet: leave out what left the window, keep it for the next caller.
local function turn(key, bucket, span, width)
  local counts, used, oldest, dead, any = live(key, bucket, span)
  if #dead > 0 then redis.call('HDEL', key, unpack(dead)) end
  if any then
    redis.call('HSET', key, 's', used, 'k', bucket, 'o', bucket - oldest)
    if counts[bucket] then
      redis.call('HSET', key, bucket, counts[bucket])
    end
    redis.call('PEXPIRE', key, (span + 1) * width)
  end
  return used, oldest, counts[bucket] or 0
end

-- How many buckets ago the newest lies, and the one with whose end `need` units have left.
local function leaving(key, bucket, span, need)
  local counts = live(key, bucket, span)
  local newest, freeing = bucket - span, nil
  for index = bucket - span, bucket do
    if counts[index] then
      newest, need = index, need - counts[index]
      if need <= 0 and not freeing then freeing = index end
    end
  end
  return bucket - newest, bucket - (freeing or newest)
end
