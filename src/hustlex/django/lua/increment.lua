-- django.increment: add to a whole number that is there, keeping its life.
-- EFFECT once
-- KEYS entry  string  django:<key>
-- ARGV delta  int     what to add; may be negative
-- REPLY {0}         the entry is absent, or no whole number
-- REPLY {1, value}  its new value
if redis.call('EXISTS', entry) == 0 then
  return {0}
end
local value = redis.pcall('INCRBY', entry, delta)
if type(value) == 'table' then
  return {0}
end
return {1, value}
