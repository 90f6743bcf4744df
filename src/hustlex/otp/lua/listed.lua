-- The open challenges stand in a lane's sorted set of sends, as @<purpose>:<cid, short> -> its end in ms, below 0; those of
-- the version before in `act`, by their whole cid.
local function short(cid) return string.sub(cid, 1, 8) end  -- 48 random bits

local function place_of(act) return '@' .. string.match(act, '^.*:act:([^:]*)') .. ':' end

local function is_listed(list, act, cid)
  return redis.call('ZSCORE', list, place_of(act) .. short(cid)) or redis.call('ZSCORE', act, cid)
end

local function unlist(list, act, cid)
  local gone = redis.call('ZREM', list, place_of(act) .. short(cid))
  return gone > 0 and gone or redis.call('ZREM', act, cid)
end
