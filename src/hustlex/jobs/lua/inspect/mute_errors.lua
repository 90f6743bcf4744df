-- jobs.mute_errors: let one group of failures need no attention for a while, or let it again.
-- EFFECT idempotent     a repeat begins the while anew
-- KEYS groups     hash  asynq:{<queue>}:x:errors  signature -> a group, as JSON
-- ARGV now_ms     int   0: the server's clock
-- ARGV signature  text
-- ARGV length_ms  int   how long; 0: until it fails again; -1: no longer
-- REPLY {0}   there is no such group
-- REPLY {1}   done
-- @include clock
local length, read, group = tonumber(length_ms), pcall(cjson.decode, redis.call('HGET', groups, signature) or '')
if not read or type(group) ~= 'table' or type(group.ids) ~= 'table' then return {0} end
local until_ms = length > 0 and clock(now_ms) + length or 0
group.muted = length >= 0 and {until_ms = until_ms, count = group.count} or nil
if #group.ids == 0 then group.ids = nil end -- an empty list would be written as an object
redis.call('HSET', groups, signature, cjson.encode(group))
return {1}
