-- Notes a call: true for a new one, false for a repeat. The token's first 8 letters name a set that a client writes to for
-- 8 s and 500 calls at most, the rest is a number: a member takes 8 bytes, where a key of its own took 110. The member 0
-- tells that the set is new. It lives from then on until the last of its calls is repeated no more: named 8 s after the
-- first, repeated for 9.
local function noted(prefix, token)
  local receipt = prefix .. 'x:sent:' .. token:sub(1, 8)
  local added = redis.call('SADD', receipt, 0, token:sub(9))
  if added == 2 then redis.call('EXPIRE', receipt, 20) end
  return added > 0
end

local function retract(prefix, token) redis.call('SREM', prefix .. 'x:sent:' .. token:sub(1, 8), token:sub(9)) end
