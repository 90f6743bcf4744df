-- Where each derived key stands: the active generation, the published one, the newest; and how to move one.
local function stages(keys, first)
  local active, published, newest = nil, nil, tonumber(first)
  local flat = redis.call('HGETALL', keys)
  for n = 1, #flat, 2 do
    local gen = tonumber(flat[n])
    if gen then
      if flat[n + 1]:sub(1, 6) == 'active' then active = gen end
      if flat[n + 1]:sub(1, 9) == 'published' then published = gen end
      newest = math.max(newest, gen)
    end
  end
  return active or tonumber(first), published, newest, flat
end

local function move(keys, gen, stage, now)
  redis.call('HSET', keys, string.format('%.0f', gen), stage .. string.format(' %.0f', now))
end
