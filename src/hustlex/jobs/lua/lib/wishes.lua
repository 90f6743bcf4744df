-- @include release_lock
-- @include state_of
-- What a producer asks for beside the usual, as JSON, "" = nothing: {expires: "+<ms>" or "<ms>", replace, first}.
local function wishes_of(text)
  return text and text ~= '' and cjson.decode(text) or {}
end

-- Note on a task what others must know later: first, that it goes to the consuming end; expires_at, in ms.
local function keep_wishes(task, wish, now)
  if wish.first then redis.call('HSET', task, 'first', 1) end
  if not wish.expires then return redis.call('HDEL', task, 'expires_at') end
  local at_ms = tonumber(wish.expires) + (wish.expires:sub(1, 1) == '+' and now or 0)
  redis.call('HSET', task, 'expires_at', string.format('%.0f', at_ms))
end

-- Take a finished task away, with what it told, so that another may have its id.
local function clear_finished(prefix, id, state)
  local task = prefix .. 't:' .. id
  release_lock(task, id)
  redis.call('ZREM', prefix .. state, id)
  redis.call('DEL', task, prefix .. 'x:stream:' .. id)
end
