-- ratelimit.refund: give back what one call took. Twice with one id is once.
-- EFFECT idempotent      by the mark
-- KEYS mark      string  ratelimit:{<id>}:<endpoint>:r.<id of the refund>
-- KEYS keys...   mixed   per policy the one key that was charged, as in ratelimit.check
-- ARGV now_ms    int     0: the server's clock
-- ARGV mark_ms   int     how long the mark stays
-- ARGV request   text    id of the call; "" when no policy keeps one
-- ARGV parts...  mixed   per policy: kind, amount (units; gcra: microseconds), bucket (strict; else 0)
-- REPLY {1}              given back
-- REPLY {2}              this refund was done before
if not redis.call('SET', mark, 1, 'NX', 'PX', mark_ms) then return {2} end

-- @include lives
local function lower(key, amount)
  local had = newest(redis.call('GET', key))  -- units, whatever their life
  if had > 0 then redis.call('DECRBY', key, math.min(had, amount)) end
end

local back = {fixed = lower, counter = lower}

function back.strict(key, amount, bucket)
  local had = tonumber(redis.call('HGET', key, bucket) or 0)
  local part = math.min(had, amount)
  if part > 0 then
    redis.call('HINCRBY', key, bucket, -part)
    redis.call('HINCRBY', key, 's', -part)
  end
end

function back.gcra(key, amount)
  local now = now_ms * 1000
  if now == 0 then
    local t = redis.call('TIME')
    now = t[1] * 1000000 + t[2]
  end
  local ahead = tonumber(redis.call('GET', key) or 0) - amount - now
  if ahead <= 0 then redis.call('DEL', key) else
    redis.call('SET', key, string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000))
  end
end

function back.log(key, amount)
  redis.call('ZREM', key, request)
  for unit = 2, amount do redis.call('ZREM', key, request .. '#' .. unit) end
end

back.leases = back.log

-- A key that holds another type has nothing to give back; the others have, and the mark stands.
for at = 4, #ARGV, 3 do
  pcall(back[ARGV[at]], KEYS[(at + 2) / 3], tonumber(ARGV[at + 1]), ARGV[at + 2])
end
return {1}
