-- Keep the archive at `most` tasks and `age_s` seconds, hashes included; at most 1,000 tasks of each kind per call, so
-- that a long archive shrinks in steps and nobody waits for it.
local function trim_archived(archived, tasks, now_s, most, age_s)
  local function drop(ids)
    for _, id in ipairs(ids) do redis.call('DEL', tasks .. id) end
    if #ids > 0 then redis.call('ZREM', archived, unpack(ids)) end
  end
  drop(redis.call('ZRANGEBYSCORE', archived, '-inf', now_s - age_s, 'LIMIT', 0, 1000))
  local excess = math.min(redis.call('ZCARD', archived) - most, 1000)
  if excess > 0 then drop(redis.call('ZRANGE', archived, 0, excess - 1)) end
end
