-- Why a session is over ('' while it lives), the moment up to which everything of the user is revoked, and its fields.
-- A session lives while its record says so and the index lists it: eviction is one removal from the index.
-- born: when the thing presented was made; nil stands for the session itself.
local function standing(record, index, marker, sid, now, born)
  local f = redis.call('HMGET', record, 'st', 'rsn', 'cre', 'abs', 'last', 'idle', 'ex')
  local line = tonumber(redis.call('GET', marker) or 0)
  born = tonumber(born or f[3] or line + 1)
  if born <= line and tonumber(f[7] or 0) < line then return 'revoke_all', line, f end
  if not f[1] then return 'gone', line, f end
  if f[1] ~= 'a' then return f[2], line, f end
  if tonumber(f[4]) <= now then return 'absolute', line, f end
  if f[5] + f[6] <= now then return 'idle', line, f end
  if not redis.call('ZSCORE', index, sid) then return 'evicted', line, f end
  return '', line, f
end
