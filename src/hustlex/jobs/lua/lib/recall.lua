-- What a call with this receipt has answered before; nil for a new call, whose receipt is written now, for 10 s.
-- "1" in it stands for the usual answer: all n tasks pending.
local function recall(receipt, n)
  if redis.call('SET', receipt, '1', 'NX', 'EX', 10) then return nil end
  local answers = redis.call('GET', receipt)
  if answers ~= '1' then return cmsgpack.unpack(answers) end
  local reply = {1}
  for _ = 1, n do reply[#reply + 1] = 1 end
  return reply
end
