-- Whether a call is a repeat: what it answered before, or nil for a new one, which is noted. The token's first 8 letters
-- name a set that a client writes to for 8 s and 500 calls at most, the rest is a number: a member takes 8 bytes, where a
-- key of its own took 110.
-- What was not the usual answer stands in a key of the token's name. usual: what that is for the n-th task.
local function receipt_of(prefix, token) return prefix .. 'x:sent:' .. string.sub(token, 1, 8), string.sub(token, 9) end

local function recall(prefix, token, tasks, usual)
  local receipt, call = receipt_of(prefix, token)
  if redis.call('SADD', receipt, call) == 1 then
    redis.call('EXPIRE', receipt, 10)
    return nil
  end
  local answers = redis.call('GET', prefix .. 'x:sent:' .. token .. ':')
  if answers then return cmsgpack.unpack(answers) end
  local reply = {1}
  for n = 1, tasks do reply[#reply + 1] = usual(n) end
  return reply
end

local function unusual(prefix, token, reply)
  redis.call('SET', prefix .. 'x:sent:' .. token .. ':', cmsgpack.pack(reply), 'EX', 20)
end

local function retract(prefix, token)
  local receipt, call = receipt_of(prefix, token)
  redis.call('SREM', receipt, call)
end
