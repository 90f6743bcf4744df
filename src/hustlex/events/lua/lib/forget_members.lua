-- Take members out, and their users when it was their last one.
local function forget_members(people, infos, users, ids)
  for _, id in ipairs(ids) do
    local info = redis.call('HGET', infos, id)
    redis.call('ZREM', people, id)
    redis.call('HDEL', infos, id)
    local user = info and info:match('^%d+ (.+)$')
    if user and redis.call('HINCRBY', users, user, -1) <= 0 then redis.call('HDEL', users, user) end
  end
end
-- Those that gave no sign of life in time, 500 a call.
local function forget_gone(people, infos, users, now)
  forget_members(people, infos, users, redis.call('ZRANGEBYSCORE', people, '-inf', now, 'LIMIT', 0, 500))
end
