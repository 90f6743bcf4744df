-- Notes a call: true for a new one, false for a repeat. The token's first 8 letters name a set that a client writes to for
-- 8 s and 500 calls at most, the rest is a number: a member takes 8 bytes, where a key of its own took 110. The member 0
-- tells that the set is new. It lives from then on until the last of its calls is repeated no more: named 8 s after the
-- first, repeated for 9.
local function receipt_of(prefix, token) return prefix .. 'x:sent:' .. string.sub(token, 1, 8), string.sub(token, 9) end

local function noted(prefix, token)
  local receipt, call = receipt_of(prefix, token)
  local added = redis.call('SADD', receipt, 0, call)
  if added == 2 then redis.call('EXPIRE', receipt, 20) end
  return added > 0
end

local function retract(prefix, token)
  local receipt, call = receipt_of(prefix, token)
  redis.call('SREM', receipt, call)
end
