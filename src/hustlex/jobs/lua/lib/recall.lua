-- @include receipt
-- What a call that is a repeat answered before, or nil for a new one, which is noted. What was not the usual answer stands
-- in a key of the token's name. usual: what that is for the n-th task.
local function recall(prefix, token, tasks, usual)
  if noted(prefix, token) then return nil end
  local answers = redis.call('GET', prefix .. 'x:sent:' .. token .. ':')
  if answers then return cmsgpack.unpack(answers) end
  local reply = {1}
  for n = 1, tasks do reply[#reply + 1] = usual(n) end
  return reply
end

local function unusual(prefix, token, reply)
  redis.call('SET', prefix .. 'x:sent:' .. token .. ':', cmsgpack.pack(reply), 'EX', 20)
end
