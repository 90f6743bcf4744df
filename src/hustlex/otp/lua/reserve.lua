-- otp.reserve: take one unit of a scope for a message that may be sent, unless breaker, cap or budget forbid it.
-- EFFECT once
-- KEYS meter        hash  otp:{cc:<region>}:cap, {pfx:<7 digits>}, {blk:<ref>} or {ip:<ref>}: see meter.lua
-- ARGV now_ms       int   0: the server's clock
-- ARGV keep_ms      int   life of the key from now on
-- ARGV most         int   units in a window
-- ARGV window_ms    int   the cap's window
-- ARGV member       text  stand-in of the number where distinct ones are counted, else empty
-- ARGV human        int   1: a human check was passed
-- ARGV least        int   breaker: fewest messages of an hour to judge by
-- ARGV percent      int   breaker: conversion below which it opens
-- ARGV pause_ms     int   breaker: how long it is open
-- ARGV probes       int   breaker: messages behind a human check, per round
-- ARGV young        int   breaker: newest buckets not to judge yet
-- ARGV guess_ms     int   window of the guess counts
-- ARGV price        int   of one message
-- ARGV budget       int   of one UTC day; 0: no end
-- REPLY {1, at, before, probe, strong, spent}  taken, ms; the number's last time; 1: probe; 1: longer codes; money
-- REPLY {2, rest}   the cap is reached, ms
-- REPLY {3, rest}   the breaker is open, ms
-- REPLY {4}         a human check is required
-- REPLY {5, rest}   the day's budget is spent, ms
-- @include clock
-- @include meter
-- @include breaker
-- @include cap
local now = clock(now_ms)
local fields = read_meter(meter)
local rest = barred(meter, fields, now, tonumber(least), tonumber(percent), tonumber(pause_ms), tonumber(young))
if rest > 0 then redis.call('PEXPIRE', meter, keep_ms) return {3, rest} end
if fields['until'] and human ~= '1' then return {4} end
rest = cap_rest(fields, member, now, tonumber(window_ms), tonumber(most))
if rest > 0 then return {2, rest} end
local day, spent = math.floor(now / DAY), price + 0
if fields.day == day then spent = spent + fields.spent end
if tonumber(budget) > 0 and spent > tonumber(budget) then return {5, (day + 1) * DAY - now} end

sweep(meter, fields, now, {c = tonumber(window_ms), s = HOUR, v = HOUR, x = tonumber(guess_ms), y = tonumber(guess_ms)})
if member ~= '' then redis.call('HSET', meter, 'n' .. member, now) end
if member == '' then count(meter, 'c', now, tonumber(window_ms), 1) end
if tonumber(price) > 0 then redis.call('HSET', meter, 'day', day, 'spent', spent) end
local trial = fields['until'] and 1 or 0
if trial == 1 then probe(meter, fields, now, tonumber(probes), tonumber(pause_ms)) end
redis.call('PEXPIRE', meter, keep_ms)
return {1, now, fields['n' .. member] or 0, trial, (fields.guess or 0) > now and 1 or 0, spent}
