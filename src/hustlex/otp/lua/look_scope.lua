-- otp.look_scope: what one scope has used, and whether its breaker slows it down, for an operator; writes nothing.
-- EFFECT read
-- KEYS meter        hash  otp:{<scope>:<ref>}:cap: see meter.lua
-- ARGV now_ms       int   0: the server's clock
-- ARGV window_ms    int   the cap's window
-- ARGV least        int   breaker: fewest messages of an hour to judge by
-- ARGV percent      int   breaker: conversion below which it slows down
-- ARGV young        int   breaker: newest buckets not to judge yet
-- REPLY {used, sent, verified, slowed, spent, strong}   units of the cap; messages of an hour, and codes verified of them;
--                         1: slowed down; money of the day; 1: codes are longer
-- @include clock
-- @include meter
-- @include breaker
local now, window = clock(now_ms), tonumber(window_ms)
local fields = read_meter(meter)
local used, hour = total(fields, 'c', bucket(now, window), 0), bucket(now, HOUR)
for name, at in pairs(fields) do
  if string.sub(name, 1, 1) == 'n' and name ~= 'next' and at > now - window then used = used + 1 end
end
local slowed = bad(fields, now, tonumber(least), tonumber(percent), tonumber(young)) and 1 or 0
local spent = fields.day == math.floor(now / DAY) and fields.spent or 0
return {used, total(fields, 's', hour, 0), total(fields, 'v', hour, 0), slowed, spent, (fields.guess or 0) > now and 1 or 0}
